"""Durations as a team writes them: `250ms`, `30s`, `10m`, `24h`, `45d`."""

import re

UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
PATTERN = re.compile(r"(\d{1,15})(ms|s|m|h|d)", re.ASCII)
DURATION_US_MAX = 36_525 * UNITS_US["d"]


def microseconds(text: str) -> int:
    """Return a duration in microseconds; raise ValueError where `text` is none.

    >>> microseconds("10m")
    600000000
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no duration: write a whole number and ms, s, m, h or d, such as `10m`")
    us = int(match[1]) * UNITS_US[match[2]]
    if us > DURATION_US_MAX:
        raise ValueError(f"`{text}` is longer than a hundred years")
    return us


def text(us: int) -> str:
    """Return microseconds as the shortest exact duration.

    >>> text(5_400_000_000), text(86_400_000_000), text(0)
    ('90m', '1d', '0s')
    """
    if us == 0:
        return "0s"
    for unit, size in reversed(UNITS_US.items()):
        if us % size == 0:
            return f"{us // size}{unit}"
    return f"{us}us"
