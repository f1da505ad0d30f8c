"""Run a service as a process: one loop, with its bus, its ticks and jobs, its HTTP server and a watchdog."""

import asyncio
import faulthandler
import pkgutil
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, TypeVar

import structlog
import uvicorn
import uvloop

from millrace.loading import load
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import Clock, SystemClock
from millrace_common.errors import Unavailable
from millrace_common.exits import ExitOnError
from millrace_common.failpoints import Failpoints
from millrace_common.garbage import spare_the_collector
from millrace_common.host import Host
from millrace_common.jobs import JobRunner
from millrace_common.log import configure
from millrace_common.probes import Probes
from millrace_common.service import Service
from millrace_common.settings import CommonSettings
from millrace_common.ticker import tick
from millrace_common.together import together
from millrace_common.watchdog import Watchdog, crash

log = structlog.get_logger()

S = TypeVar("S", bound=CommonSettings)
Factory = Callable[[S, Host], AbstractAsyncContextManager[Service]]
_BUSES = {"kafka": "millrace_common.bus.kafka:KafkaBus", "faust": "millrace_common.bus.faust:FaustBus"}
"""By name, so that Faust is imported by the service that stands on it alone."""
_PORTS = {"ingest": 7101, "features": 7102, "trainer": 7103, "gatekeeper": 7104, "serving": 7105, "monitor": 7106}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS_MAX = 14
_REQUESTS_SECONDS_MAX = 5
_LOOK_SECONDS = 0.5


def run(factory: Factory[S], settings_type: type[S], *, bus: Literal["kafka", "faust"] = "kafka") -> None:
    """Run the service that `factory` opens until SIGTERM or SIGINT. Any error ends the process: 70, or 78."""
    faulthandler.enable()
    name = _name_of(factory)
    with ExitOnError():
        settings = settings_type()
        configure(settings.log_level, settings.log_format, service=name, instance=settings.instance)
        spare_the_collector()
        uvloop.run(_main(factory, settings, bus))


async def _main(factory: Factory[S], settings: S, bus: str) -> None:
    deployment = load([spec for spec in settings.pipelines.split(",") if spec])
    opened: KafkaBus = pkgutil.resolve_name(_BUSES[bus])(
        KafkaOptions.of(settings), failpoints=_failpoints(settings, _name_of(factory))
    )
    clock = SystemClock()
    async with opened as carrier:
        host = Host(deployment, carrier, clock, settings.instance, version("millrace-common"))
        async with factory(settings, host) as service:
            probes = Probes(
                service.name, settings.instance, deployment.hash, lambda: carrier.standing, service.counts, service.app
            )
            with ExitOnError():
                await _Process(service, carrier, settings, clock, probes).run()
    log.info("process_ended")


def _name_of(factory: Factory[S]) -> str:
    return factory.__module__.split(".")[0].removeprefix("millrace_")


def _failpoints(settings: CommonSettings, service: str) -> Failpoints:
    folder = settings.failpoints_folder
    return Failpoints(settings.failpoints, folder=None if folder is None else folder / service)


class _Server(uvicorn.Server):
    """uvicorn's server; the process handles its signals itself."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # uvicorn's is a generator
        return nullcontext()


@dataclass(frozen=True, slots=True)
class _Process:
    service: Service
    bus: KafkaBus
    settings: CommonSettings
    clock: Clock
    probes: Probes

    async def run(self) -> None:
        """Work until a signal: then not ready, stop fetching, settle what is in flight, answer what was asked."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in _SIGNALS:  # not the loop's own handlers: between those and none a second signal would kill
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        server, listening = self._server()
        http = asyncio.create_task(server.serve([listening]))
        work = asyncio.create_task(self._work())
        signalled = asyncio.create_task(stop.wait())
        await asyncio.wait([http, work, signalled], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, http):
            if task.done():
                task.result()
        log.info("process_stops")
        for number in _SIGNALS:  # a second one changes nothing, also while the interpreter ends: there is a deadline
            signal.signal(number, signal.SIG_IGN)
        self.probes.stopping = True
        deadline = threading.Timer(_STOP_SECONDS_MAX, crash)
        deadline.daemon = True
        deadline.start()
        work.cancel()
        await asyncio.wait([work])
        server.should_exit = True
        await http
        deadline.cancel()
        if not work.cancelled():
            work.result()

    async def _work(self) -> None:
        watchdog = Watchdog(lambda: self.bus.standing, self.settings.stall_seconds_max)
        await together(self.bus.run(self.service), self._ticks_and_jobs(), watchdog.run())

    async def _ticks_and_jobs(self) -> None:
        """Start them when the service is ready: they may decide on what the followed logs say.

        A state that was lost is rebuilt before: what is said meanwhile was said, and stays quiet only where it has a
        cause on the log, which a tick has not (R8).
        """
        await self.bus.standing.ready.wait()
        log.info("service_ready")
        while self.bus.standing.is_rebuilding:  # noqa: ASYNC110  a position is a number: it wakes nobody
            await asyncio.sleep(_LOOK_SECONDS)
        turn, settler = asyncio.Lock(), self.bus.settler
        ticking = tick(self.service.name, self.service.ticks, clock=self.clock, settler=settler, turn=turn)
        if self.service.jobs is None:
            await ticking
            return
        jobs = JobRunner(self.service.name, self.service.jobs, settler, self.clock, turn)
        await together(ticking, jobs.run())

    def _server(self) -> tuple[_Server, socket.socket]:
        address = (self.settings.http_host, self.settings.http_port or _PORTS.get(self.service.name, 0))
        try:
            listening = socket.create_server(address, backlog=1_024)
        except OSError as error:
            raise Unavailable(f"cannot listen on {address[0]}:{address[1]}: {error}") from error
        config = uvicorn.Config(
            self.probes,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_REQUESTS_SECONDS_MAX,
        )
        return _Server(config), listening
