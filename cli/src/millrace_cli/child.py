"""One program under supervision: started, watched, and started again after a pause when it dies."""

import os
import subprocess
import time
from dataclasses import dataclass

from millrace_cli.home import ProcessStatus
from millrace_cli.programs import Program, start, stop
from millrace_common.errors import EXIT_CONFIGURATION

PAUSE_SECONDS_MIN = 0.5
PAUSE_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
LOOK_SECONDS = 1.0
FAILURES_AT_START_MAX = 5
LOG_BYTES_MAX = 16 << 20
LOGS_KEPT = 3


def pause_seconds(failures: int) -> float:
    """Return how long to wait before the start that follows the nth failure in a row.

    >>> [pause_seconds(n) for n in (1, 2, 3, 9)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return float(min(PAUSE_SECONDS_MIN * 2 ** min(failures - 1, 16), PAUSE_SECONDS_MAX))


@dataclass(slots=True)
class Child:
    """A program and the process that runs it, if any. `step` moves it on; nothing here blocks for long."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    state: str = "waiting"
    restarts: int = 0
    failures: int = 0
    exit_code: int | None = None
    reason: str = ""
    was_ready: bool = False
    due: float = 0.0
    looked: float = 0.0
    started: float = 0.0

    @property
    def status(self) -> ProcessStatus:
        """Return what status.json says of it."""
        pid = self.process.pid if self.process is not None else None
        return ProcessStatus(
            self.program.name, self.state, pid, self.program.port, self.restarts, self.exit_code, self.reason
        )

    @property
    def is_hopeless(self) -> bool:
        """Say whether it refused to start, or died again and again and was never ready."""
        return self.state == "refused" or (self.failures >= FAILURES_AT_START_MAX and not self.was_ready)

    def step(self, now: float) -> None:
        """Start it when it is due, see whether it is ready, take note of its death."""
        if self.process is None:
            if self.state != "refused" and now >= self.due:
                self._start(now)
        elif self.process.poll() is not None:
            self._bury(now)
        elif now - self.looked >= (LOOK_SECONDS if self.state == "ready" else LOOK_SECONDS / 5):
            self._look(now)

    def signal_end(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def _start(self, now: float) -> None:
        rotate(self.program)
        self.process = start(self.program)
        self.started = self.looked = now
        self.state = "starting"

    def _look(self, now: float) -> None:
        is_ready = self.program.is_ready()
        self.looked = time.monotonic()
        if is_ready:
            self.state, self.reason, self.was_ready = "ready", "", True
            if now - self.started > STEADY_SECONDS:
                self.failures = 0
        elif self.state == "ready":
            self.state = "unready"
        rotate(self.program)

    def _bury(self, now: float) -> None:
        """Note the end; exit 78 means that another start cannot help."""
        assert self.process is not None
        stop(self.process)  # whatever it had started ends with it
        self.exit_code, self.process = self.process.returncode, None
        self.failures += 1
        self.due = now + pause_seconds(self.failures)
        if self.exit_code == EXIT_CONFIGURATION:
            self.state, self.reason = "refused", f"refuses to start ({ending(self.exit_code)})"
        else:
            self.restarts += 1
            self.state = "waiting"
            self.reason = f"ended with {ending(self.exit_code)}, started again in {pause_seconds(self.failures):g} s"


def ending(code: int) -> str:
    """Return an exit code in words.

    >>> ending(70), ending(-9)
    ('code 70', 'signal 9')
    """
    return f"signal {-code}" if code < 0 else f"code {code}"


def rotate(program: Program) -> None:
    """Keep a log and its predecessors bounded. The process writes on in append mode, so its file is copied and cut."""
    try:
        if program.log.stat().st_size < LOG_BYTES_MAX:
            return
    except FileNotFoundError:
        return
    for age in range(LOGS_KEPT - 1, 0, -1):
        older = program.log.with_suffix(f".log.{age}")
        if older.exists():
            older.replace(program.log.with_suffix(f".log.{age + 1}"))
    with program.log.open("rb") as source, program.log.with_suffix(".log.1").open("wb") as copy:
        while chunk := source.read(1 << 20):
            copy.write(chunk)
    os.truncate(program.log, 0)
