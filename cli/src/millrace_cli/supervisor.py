"""The supervisor: starts stages of programs in order, keeps them running, and ends them in reverse order."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from millrace_cli.child import Child
from millrace_cli.home import Home, Status
from millrace_cli.loglines import readable
from millrace_cli.programs import STOP_SECONDS_MAX, Program, stop, tail
from millrace_common.clock import Clock
from millrace_common.errors import Misconfigured, Unavailable

STEP_SECONDS = 0.1
LOG_LINES = 8
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def nothing() -> None:
    """Prepare nothing."""


def silent(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Programs that are started together, after `prepare` has run on what the stages before it offer."""

    programs: tuple[Program, ...]
    prepare: Callable[[], None] = nothing


@dataclass(slots=True)
class Supervisor:
    """Runs the stages until told to stop. It lives in the main thread: its children are tied to that thread's life."""

    home: Home
    stages: Sequence[Stage]
    clock: Clock
    on_ready: Callable[[], None] = nothing
    tell: Callable[[str], None] = silent
    stop_seconds_max: float = STOP_SECONDS_MAX
    stopping: threading.Event = field(default_factory=threading.Event)
    _children: list[list[Child]] = field(default_factory=list)
    _written: Status | None = None
    _since_us: int = 0

    def run(self) -> None:
        """Run until a signal; raise Misconfigured or Unavailable when one does not come up."""
        self._since_us = self.clock.now_us()
        with self._signals():
            try:
                if self._start():
                    self.on_ready()
                    self._watch()
            finally:
                self._end()

    def _start(self) -> bool:
        """Bring the stages up one after the other; return False when told to stop meanwhile."""
        for stage in self.stages:
            stage.prepare()
            self._children.append([Child(program) for program in stage.programs])
            while not all(child.state == "ready" for child in self._children[-1]):
                if self.stopping.is_set():
                    return False
                self._step("starting")
                self._refuse_to_start()
                self.stopping.wait(STEP_SECONDS)
        return not self.stopping.is_set()

    def _watch(self) -> None:
        """Keep the children running until told to stop."""
        while not self.stopping.is_set():
            self._step(None)
            self.stopping.wait(STEP_SECONDS)

    def _step(self, state: str | None) -> None:
        for child in self._all():
            failures = child.failures
            child.step(time.monotonic())
            if child.failures > failures:
                self.tell(f"{child.program.name} {child.reason}")
        self._write(state or ("ready" if all(child.state == "ready" for child in self._all()) else "degraded"))

    def _refuse_to_start(self) -> None:
        for child in self._all():
            if child.is_hopeless:
                kind = Misconfigured if child.state == "refused" else Unavailable
                end = readable(tail(child.program.log, lines=LOG_LINES))
                raise kind(f"{child.program.name} {child.reason}; the end of its log:\n{end}")

    def _end(self) -> None:
        """End every stage, last first: SIGTERM to all of it in reverse order, SIGKILL to what is left at the end."""
        self._write("stopping")
        for children in reversed(self._children):
            for child in reversed(children):
                child.signal_end()
            deadline = time.monotonic() + self.stop_seconds_max
            for child in reversed(children):
                if child.process is not None:
                    stop(child.process, seconds_max=max(0.0, deadline - time.monotonic()))
                    child.exit_code, child.process = child.process.returncode, None
                if child.state != "refused":
                    child.state = "stopped"
                self._write("stopping")
        self.home.sweep()
        self._write("stopped")

    def _write(self, state: str) -> None:
        """Replace status.json when something in it changed."""
        status = Status(state, os.getpid(), self._since_us, tuple(child.status for child in self._all()))
        if status != self._written:
            self.home.write(status)
            self._written = status

    def _all(self) -> tuple[Child, ...]:
        return tuple(child for children in self._children for child in children)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let a signal end the run in order; a second one changes nothing, the end has its own deadline."""

        def end(_signal: int, _frame: FrameType | None) -> None:
            self.stopping.set()

        before = {number: signal.signal(number, end) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
