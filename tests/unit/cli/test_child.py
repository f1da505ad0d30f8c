"""One supervised program: back-off, refusal, log rotation."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace_cli.child import FAILURES_AT_START_MAX, LOG_BYTES_MAX, Child, pause_seconds, rotate
from millrace_cli.programs import Program, await_ready, hosted, start, stop, tail
from millrace_cli.settings import environment_with
from millrace_common.errors import EXIT_CONFIGURATION, Unavailable


def program(log: Path, code: str, *, is_ready: Callable[[], bool] = lambda: True, seconds_max: float = 10.0) -> Program:
    """Return a short Python program."""
    command = (sys.executable, "-I", "-S", "-c", code)
    return Program("tiny", command, environment_with({}), log, is_ready=is_ready, ready_seconds_max=seconds_max)


def step_until(child: Child, holds: Callable[[], bool], now: float) -> None:
    """Step a child at one instant until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        child.step(now)
        time.sleep(0.01)


def test_the_pause_doubles_up_to_half_a_minute() -> None:
    """0.5 s, doubled by each failure in a row, never more than 30 s however many there were."""
    assert [pause_seconds(n) for n in range(1, 9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pause_seconds(10_000) == 30.0


def test_a_child_that_dies_waits_out_its_pause(tmp_path: Path) -> None:
    """It is started again when its pause is over, not before; each restart is counted."""
    child = Child(program(tmp_path / "log", "raise SystemExit(3)"))
    child.step(100.0)
    step_until(child, lambda: child.state == "waiting", 100.0)
    assert (child.exit_code, child.restarts, child.due) == (3, 1, 100.5)
    assert "code 3" in child.reason
    child.step(100.4)
    assert child.process is None
    child.step(100.5)
    assert child.process is not None
    step_until(child, lambda: child.process is None, 100.5)
    assert (child.restarts, child.due) == (2, 101.5)


def test_a_child_is_hopeless_only_when_it_was_never_ready(tmp_path: Path) -> None:
    """Five deaths in a row end a start; a child that has been ready is tried for ever."""
    child = Child(program(tmp_path / "log", ""), failures=FAILURES_AT_START_MAX)
    assert child.is_hopeless
    child.was_ready = True
    assert not child.is_hopeless


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    """Exit 78 says that another start cannot help."""
    child = Child(program(tmp_path / "log", f"raise SystemExit({EXIT_CONFIGURATION})"))
    child.step(0.0)
    step_until(child, lambda: child.state == "refused", 0.0)
    child.step(1e9)
    assert child.process is None
    assert child.restarts == 0
    assert child.is_hopeless


def test_a_log_is_cut_while_its_process_writes_on(tmp_path: Path) -> None:
    """Past its limit a log moves to .log.1, that to .log.2, at most three are kept, and the process keeps its file."""
    log = tmp_path / "tiny.log"
    gate = tmp_path / "gate"
    code = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(.01)\nos.write(1, b'after')"
    one = program(log, code)
    process = start(one)
    try:
        for age in range(5):
            with log.open("ab") as file:
                file.write(bytes([65 + age]) * LOG_BYTES_MAX)
            rotate(one)
        gate.touch()
        process.wait(10)
    finally:
        stop(process)
    assert log.read_bytes() == b"after"
    assert sorted(path.name for path in tmp_path.glob("tiny.log.*")) == ["tiny.log.1", "tiny.log.2", "tiny.log.3"]
    assert [(tmp_path / f"tiny.log.{n}").read_bytes()[:1] for n in (1, 2, 3)] == [b"E", b"D", b"C"]


def test_a_program_that_ends_before_it_is_ready_is_told_with_its_log(tmp_path: Path) -> None:
    """Whoever waits for readiness learns the exit code and the last lines."""
    one = program(tmp_path / "log", "import os; os.write(2, b'no space left'); os._exit(4)", is_ready=lambda: False)
    with pytest.raises(Unavailable, match="tiny ended with code 4\nno space left"), hosted([one]):
        pass


def test_a_program_that_is_never_ready_has_a_deadline(tmp_path: Path) -> None:
    """Waiting is bounded, and the process is ended."""
    one = program(tmp_path / "log", "import time; time.sleep(600)", is_ready=lambda: False, seconds_max=0.1)
    process = start(one)
    try:
        with pytest.raises(Unavailable, match=r"not ready in 0\.1 s"):
            await_ready(one, process)
    finally:
        stop(process)
    assert process.returncode is not None


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    """A missing log has no lines; bytes that are no UTF-8 do not stop the reading."""
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_bytes(b"x" * 100_000 + b"\nlast but one\nlast \xff\n")
    assert tail(log, lines=2) == "last but one\nlast \ufffd"
