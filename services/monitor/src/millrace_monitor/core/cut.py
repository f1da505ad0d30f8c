"""A cut: everything one judgement may know, frozen and written down before it is judged.

What is judged after a crash is what was written before it, so that the same alerts are said again. Windows and graded
predictions of several partitions come in an order that depends on which was read first; in a cut they are sorted.
"""

import msgspec

from millrace_common.messages import Offsets
from millrace_monitor.core.join import Graded
from millrace_monitor.core.windows import Window


class Promoted(msgspec.Struct, frozen=True, tag="promoted"):
    """Another version answers now. `profile` says whether its reference could be read."""

    version: str
    digest: str
    at_us: int
    candidate_id: str | None
    profile: bool


class Candidated(msgspec.Struct, frozen=True, tag="candidated"):
    """A run has made a candidate, or came to nothing."""

    request_id: str | None
    candidate_id: str | None
    status: str
    at_us: int


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """A candidate was turned down by the gatekeeper."""

    candidate_id: str
    why: str


class FirstServed(msgspec.Struct, frozen=True, tag="first_served"):
    """The first prediction of a version that was read."""

    digest: str
    served_us: int


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """Somebody asked for training."""

    request_id: str
    number: int


Note = Promoted | Candidated | Dropped | FirstServed | Asked


class Closed(msgspec.Struct, frozen=True):
    """A window of one version that is ready to be judged."""

    digest: str
    window: Window


class Cut(msgspec.Struct, frozen=True):
    """What is judged together. `at_us` is the clock's time at which it was taken, `labelled` a running total."""

    number: int
    at_us: int
    watermark_us: int
    offsets: Offsets
    windows: list[Closed]
    graded: list[Graded]
    labelled: int
    notes: list[Note]
