"""The supervisor over small stand-ins: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from millrace_cli import detached
from millrace_cli.commands.status import report_of
from millrace_cli.home import Home, ProcessStatus
from millrace_common.errors import EXIT_CONFIGURATION, Misconfigured

SUPERVISE = Path(__file__).parents[1] / "fakes" / "cli" / "supervise.py"
WAIT_SECONDS_MAX = 20.0


@contextmanager
def supervised(home: Home, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor over stand-ins; whatever the test did, nothing is left after it."""
    command = [sys.executable, str(SUPERVISE), str(home.folder), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        home.sweep()


def eventually(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, f"not in {WAIT_SECONDS_MAX} s: {what}"
        time.sleep(0.02)


def is_in_state(home: Home, state: str) -> bool:
    """Say whether the living supervisor says so."""
    status = home.status()
    return status is not None and status.state == state and status.pid == home.supervisor()


def child(home: Home, name: str) -> ProcessStatus:
    """Return a child's entry in status.json."""
    status = home.status()
    assert status is not None
    return next(process for process in status.processes if process.name == name)


def pid_of(home: Home, name: str) -> int:
    """Return a child's process id."""
    pid = child(home, name).pid
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_dead_child_is_started_again_and_counted(tmp_path: Path) -> None:
    """A child that was killed comes back within its back-off, and status says how often that happened."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok", "serving=ok"):
        eventually(lambda: is_in_state(home, "ready"), "both ready")
        first = pid_of(home, "ingest")
        other = pid_of(home, "serving")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: child(home, "ingest").restarts == 1, "restart counted")
        eventually(lambda: is_in_state(home, "ready"), "ready again")
        assert pid_of(home, "ingest") != first
        assert pid_of(home, "serving") == other
        assert child(home, "ingest").exit_code == -signal.SIGKILL


def test_status_tells_lag_per_topic_and_that_nothing_is_up_afterwards(tmp_path: Path) -> None:
    """Status adds up the lag over partitions; after the end it says down, whatever was written last."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok") as process:
        eventually(lambda: is_in_state(home, "ready"), "ready")
        report = report_of(home)
        assert report.state == "ready"
        assert report.processes[0].lag == {"raw-data": 14}
        assert report.processes[0].deployment == "d1"
        process.kill()
        process.wait()
        assert report_of(home).state == "down"


def test_an_ended_supervisor_leaves_no_process(tmp_path: Path) -> None:
    """`down` ends all of them: the willing, the one that ignores SIGTERM, and what a child had started itself."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok", "serving=deaf", "trainer=breed") as process:
        eventually(lambda: is_in_state(home, "ready"), "ready")
        assert len(home.leftovers()) == 4
        assert detached.end(home)
        assert process.wait(5) == 0
        assert home.leftovers() == ()
        status = home.status()
        assert status is not None
        assert status.state == "stopped"
        assert not detached.end(home)


def test_a_killed_supervisor_leaves_no_child(tmp_path: Path) -> None:
    """The kernel ends the children of a supervisor that was killed; `down` ends what those had started themselves."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok", "serving=deaf", "trainer=breed") as process:
        eventually(lambda: is_in_state(home, "ready"), "ready")
        children = [pid_of(home, name) for name in ("ingest", "serving", "trainer")]
        process.kill()
        process.wait()
        eventually(lambda: not any(is_alive(pid) for pid in children), "children gone")
        assert detached.end(home)
        assert home.leftovers() == ()


def test_a_new_supervisor_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    """`up` on a folder whose supervisor was killed starts from nothing: no process of the earlier run lives on."""
    home = Home(tmp_path)
    with supervised(home, "trainer=breed") as process:
        eventually(lambda: is_in_state(home, "ready"), "ready")
        earlier = home.leftovers()
        process.kill()
        process.wait()
        with supervised(home, "ingest=ok"):
            eventually(lambda: is_in_state(home, "ready"), "ready again")
            assert not set(earlier) & set(home.leftovers())


def test_a_second_supervisor_is_refused(tmp_path: Path) -> None:
    """A home has one supervisor; a second one is told which and how to end it, and disturbs nothing."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok") as first:
        eventually(lambda: is_in_state(home, "ready"), "ready")
        with supervised(home, "ingest=ok") as second:
            _, errors = second.communicate(timeout=10)
        assert second.returncode == EXIT_CONFIGURATION
        assert f"already up on {tmp_path} (supervisor {first.pid})" in errors
        assert "millrace down" in errors
        with pytest.raises(Misconfigured, match="already up"):
            home.refuse_second()


def test_a_child_that_refuses_to_start_ends_the_start(tmp_path: Path) -> None:
    """Exit 78 is not tried again: the last lines of its log are shown and the others are ended."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok", "serving=refuse") as process:
        _, errors = process.communicate(timeout=10)
    assert process.returncode == EXIT_CONFIGURATION
    assert "serving refuses to start (code 78)" in errors
    assert "MILLRACE_PARTITIONS must be 1 or more" in errors
    assert home.leftovers() == ()
    assert child(home, "serving").restarts == 0


def test_a_signal_ends_a_start_that_is_not_done(tmp_path: Path) -> None:
    """Ctrl-C while a child is not ready yet ends all of it in order."""
    home = Home(tmp_path)
    with supervised(home, "ingest=ok", "serving=never") as process:
        eventually(lambda: home.status() and len(home.leftovers()) == 2, "both started")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert home.leftovers() == ()
