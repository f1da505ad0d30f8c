"""A supervisor in a process of its own: started from a command or a test, awaited, and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from millrace_cli.home import Endpoints, Home
from millrace_cli.programs import Program, start, stop, tail
from millrace_cli.settings import environment_with
from millrace_common.errors import EXIT_CONFIGURATION, Misconfigured, Unavailable

READY_SECONDS_MAX = 300.0
END_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1


def command(home: Home, pipelines: Sequence[str]) -> tuple[str, ...]:
    """Return the command line of a supervisor in the foreground."""
    return (sys.executable, "-m", "millrace_cli", "up", "--home", str(home.folder.absolute()), *pipelines)


def start_detached(home: Home, pipelines: Sequence[str]) -> Endpoints:
    """Start a supervisor that outlives this process, and return when everything is ready.

    Misconfigured when it refuses to start, Unavailable when it ends otherwise or needs more than five minutes.
    """
    home.logs.mkdir(parents=True, exist_ok=True)
    with home.log("supervisor").open("wb") as log:
        process = subprocess.Popen(
            command(home, pipelines),
            env=environment_with({}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return await_up(home, process)


@contextmanager
def running(
    folder: Path, *, pipelines: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Endpoints]:
    """Run the whole platform on `folder` for as long as the block lasts; it ends with this process, however that ends.

    Call from the main thread. `environment` adds to this process's own.
    """
    home = Home(folder)
    home.logs.mkdir(parents=True, exist_ok=True)
    home.log("supervisor").unlink(missing_ok=True)
    program = Program(
        "supervisor", command(home, pipelines), environment_with(environment or {}), home.log("supervisor")
    )
    process = start(program)
    try:
        yield await_up(home, process)
    finally:
        stop(process, seconds_max=END_SECONDS_MAX)
        home.sweep()


def await_up(home: Home, process: subprocess.Popen[bytes], *, seconds_max: float = READY_SECONDS_MAX) -> Endpoints:
    """Return where everything is once the supervisor `process` says that all is ready."""
    deadline = time.monotonic() + seconds_max
    while True:
        code = process.poll()
        if code is not None:
            kind = Misconfigured if code == EXIT_CONFIGURATION else Unavailable
            raise kind(f"the platform did not come up\n{tail(home.log('supervisor'))}")
        status = home.status()
        if status is not None and status.pid == process.pid and status.state == "ready":
            endpoints = home.endpoints()
            assert endpoints is not None
            return endpoints
        if time.monotonic() > deadline:
            raise Unavailable(f"the platform is not ready after {seconds_max:g} s; see `millrace status`")
        time.sleep(POLL_SECONDS)


def end(home: Home, *, seconds_max: float = END_SECONDS_MAX) -> bool:
    """End the folder's supervisor and everything below it; return False when there was nothing to end."""
    pid = home.supervisor()
    if pid is None:
        had = bool(home.leftovers())
        home.sweep()
        return had
    deadline = time.monotonic() + seconds_max
    number = signal.SIGTERM
    while home.supervisor() == pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        time.sleep(POLL_SECONDS)
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
    home.sweep()
    return True
