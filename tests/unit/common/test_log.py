"""What the log shows of libraries that repeat themselves."""

import logging

from millrace_common.log import LINES_MAX, PERIOD_SECONDS, Sparing


def shown(sparing: Sparing, name: str, created: float, count: int) -> list[str]:
    """Return which of so many lines of a logger are shown."""
    lines = []
    for n in range(count):
        line = logging.makeLogRecord({"name": name, "msg": "no broker %s", "args": (n,), "created": created + n / 1e3})
        if sparing.filter(line):
            lines.append(line.getMessage())
    return lines


def test_a_library_that_repeats_itself_is_cut_short_for_a_while() -> None:
    """A broker that is away for hours does not fill a disk; the last line shown says that more were left out."""
    sparing = Sparing()
    lines = shown(sparing, "aiokafka.client", 100.0, 1_000)
    assert len(lines) == LINES_MAX
    assert lines[0] == "no broker 0"
    assert lines[-1] == f"no broker {LINES_MAX - 1} (and more, left out for 10 s)"
    assert shown(sparing, "aiokafka.client", 100.0 + PERIOD_SECONDS + 1, 1) == ["no broker 0"]


def test_one_logger_does_not_silence_another() -> None:
    """Each logger of a library has its own bound, and our own lines have none."""
    sparing = Sparing()
    shown(sparing, "aiokafka.client", 100.0, 1_000)
    assert len(shown(sparing, "aiokafka.consumer", 100.0, 3)) == 3
    assert len(shown(sparing, "millrace_common.run", 100.0, 1_000)) == 1_000


def test_a_clock_that_goes_back_silences_nobody() -> None:
    """A period that lies in the future of the clock has ended."""
    sparing = Sparing()
    shown(sparing, "faust", 1_000.0, 100)
    assert len(shown(sparing, "faust", 10.0, 3)) == 3
