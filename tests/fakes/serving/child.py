"""A serving process that dies between a publish and its acknowledgement.

Run as `python -m tests.fakes.serving.child FOLDER N`.
It prints its port, answers over HTTP, appends what it publishes to `FOLDER/published`, and kills itself at the nth
publish, after the records have landed.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from tests.fakes.serving.declared import deployment
from tests.fakes.serving.models import artifact
from tests.fakes.serving.stage import Gatekeeper, Online

from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import SystemClock
from millrace_common.host import Host
from millrace_common.messages import Position
from millrace_common.records import Outgoing
from millrace_serving.adapters.spool import open_spool, sending
from millrace_serving.service import build

SPOOL_BYTES_MAX = 64 << 20


@dataclass(slots=True)
class Landing:
    """A broker that is a file; at the nth publish this process is killed before it hears of it."""

    path: Path
    deadly: int = 0
    calls: int = 0

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Append the records' values."""
        with self.path.open("ab") as file:
            file.writelines((record.value or b"") + b"\n" for record in records)
        self.calls += 1
        if self.calls == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return []

    async def partitions(self, topic: str) -> int:
        """Return one."""
        return 1


async def main(folder: Path, deadly: int) -> None:
    """Serve until the end."""
    clock = SystemClock()
    bus, store = MemoryBus(clock), ArtifactStore.open("memory://child")
    landing = Landing(folder / "published", deadly)
    async with open_spool(folder / "spool", bytes_max=SPOOL_BYTES_MAX) as spool, sending(spool, landing):
        service = build(Host(deployment(), bus, clock, "0", "0.1.0"), online=Online(), artifacts=store, spool=spool)
        await bus.seat(service)
        keeper = Gatekeeper(bus, store)
        await keeper.train("1", artifact(0.0))
        await keeper.promote("1")
        listening = socket.create_server(("127.0.0.1", 0))
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        assert service.app is not None
        await uvicorn.Server(uvicorn.Config(service.app, access_log=False)).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
