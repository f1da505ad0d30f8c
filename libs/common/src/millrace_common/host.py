"""What a service is given to stand on. It does not know which bus or clock it is."""

from dataclasses import dataclass

from millrace.spec import Deployment
from millrace_common.bus import Publisher
from millrace_common.clock import Clock


@dataclass(frozen=True, slots=True)
class Host:
    """The surroundings of one service process."""

    deployment: Deployment
    publisher: Publisher
    clock: Clock
    instance: str
    version: str
