"""The six services on one bus in memory, driven by a file's events, one instant of event time after the other."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter

import msgspec

import millrace_features.service
import millrace_gatekeeper.service
import millrace_monitor.service
import millrace_serving.service
import millrace_trainer.service
from millrace.spec import Deployment
from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.host import Host
from millrace_common.online_memory import MemoryOnline
from millrace_common.service import Service
from millrace_common.simulate import Simulation
from millrace_engine.events import compile_events
from millrace_engine.files import FileEvent
from millrace_ingest.core.outgoing import Request
from millrace_ingest.handlers import Ingest
from millrace_monitor.adapters import MemoryState
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.sqlite_runs import SqliteRuns

INGEST_SECONDS_MAX = 10.0
ARTIFACTS_URL = "memory://backtest"
"""The same in each run, since candidates name it."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A deployment in memory: what takes events in, what moves time, and the topics."""

    ingest: Ingest
    simulation: Simulation
    clock: VirtualClock
    bus: MemoryBus
    artifacts: ArtifactStore

    async def run(self, events: Iterable[FileEvent], *, told: Callable[[int], None]) -> None:
        """Publish the events of each instant, then let the services work until all is quiet; `told` counts events."""
        await self.simulation.until_quiet()
        for at_us, together in groupby(events, key=attrgetter("at_us")):
            await self.simulation.advance_to(at_us)
            instant = list(together)
            await self.ingest.accept(_body(instant), Request())
            await self.simulation.until_quiet()
            told(len(instant))


def _body(instant: list[FileEvent]) -> bytes:
    return b"\n".join(msgspec.json.encode({"type": event.type, **event.value}) for event in instant)


@asynccontextmanager
async def in_memory(deployment: Deployment, *, start_us: int) -> AsyncIterator[Loop]:
    """Wire the six services of a deployment on a virtual clock that stands at `start_us`."""
    clock = VirtualClock(start_us)
    bus = MemoryBus(clock)
    host = Host(deployment, bus, clock, instance="backtest", version=version("millrace-cli"))
    artifacts = ArtifactStore.open(ARTIFACTS_URL)
    with closing(SqliteRuns.open(None)) as runs:
        online = MemoryOnline()
        services: tuple[Service, ...] = (
            millrace_features.service.build(host, store=online),
            millrace_serving.service.build(host, online=online, artifacts=artifacts),
            millrace_monitor.service.build(host, state=MemoryState(), artifacts=artifacts),
            millrace_trainer.service.build(host, rows=MemoryRows(artifacts.url), runs=runs),
            millrace_gatekeeper.service.build(host, artifacts=artifacts),
        )
        ingest = Ingest(host, compile_events(deployment), INGEST_SECONDS_MAX)
        yield Loop(ingest, Simulation(bus, clock, services), clock, bus, artifacts)


def first_of(events: Iterator[FileEvent]) -> tuple[FileEvent | None, Iterator[FileEvent]]:
    """Return the first event and all of them."""
    first = next(events, None)
    return first, (event for part in ([first] if first else [], events) for event in part)
