"""Child processes: a program as data, and how to start, await and end it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from millrace_cli import tether
from millrace_common.errors import Unavailable

POLL_SECONDS = 0.05
STOP_SECONDS_MAX = 15.0
LOG_TAIL_LINES = 20


def no_probe() -> bool:
    """Say ready at once."""
    return True


@dataclass(frozen=True, slots=True)
class Program:
    """One child process as data: its command, its whole environment, its log, and how to see that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    port: int | None = None
    folder: Path | None = None
    is_ready: Callable[[], bool] = field(default=no_probe)
    ready_seconds_max: float = 60.0


def tethered(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that runs `command` for as long as this process lives, and no longer."""
    return (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command)


def start(program: Program) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; it dies with this process. Call from the main thread only."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        return subprocess.Popen(
            tethered(program.command),
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], *, seconds_max: float = STOP_SECONDS_MAX) -> None:
    """End a process and whatever it left in its session: SIGTERM, then SIGKILL past the deadline."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds_max)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_ready(program: Program, process: subprocess.Popen[bytes]) -> None:
    """Return when the program answers; raise Unavailable with the end of its log when it ends or takes too long."""
    deadline = time.monotonic() + program.ready_seconds_max
    while not program.is_ready():
        if process.poll() is not None:
            raise Unavailable(f"{program.name} ended with code {process.returncode}\n{tail(program.log)}")
        if time.monotonic() > deadline:
            raise Unavailable(f"{program.name} not ready in {program.ready_seconds_max:g} s\n{tail(program.log)}")
        time.sleep(POLL_SECONDS)


def tail(log: Path, *, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log, read from its last 64 KiB; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - (1 << 16)))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


@contextmanager
def hosted(programs: Sequence[Program]) -> Iterator[None]:
    """Start the programs together, await them in order, and end them in reverse order."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.extend(start(program) for program in programs)
        for program, process in zip(programs, started, strict=True):
            await_ready(program, process)
        yield
    finally:
        for process in reversed(started):
            stop(process)
