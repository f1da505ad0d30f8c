"""The cells of a file: what its columns hold, what may be computed from them, and how they fit a field."""

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from millrace.spec import Scalar

Cell = Scalar | date
"""A value as a reader of CSV, JSON lines or Parquet gives it; a time is a datetime, text, or microseconds."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_9999_US = 253_402_300_799_999_999
YEAR_1_US = -62_135_596_800_000_000
TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
EMPTY = ("", "NA", "NaN", "nan", "null", "None")

CALCULATE: Mapping[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
"""Of two numbers, or of two texts."""


def calculated(name: str, left: Cell, right: Cell) -> Cell:
    """Return arithmetic on two cells: integers stay exact, times are microseconds, missing stays missing.

    >>> calculated("add", "2024-05-01", 1_000_000), calculated("div", 1, 0)
    (1714521601000000, None)
    """
    first, second = number(left), number(right)
    if first is None or second is None:
        return None
    try:
        value = CALCULATE[name](first, second)
    except ArithmeticError:
        return None
    return value if math.isfinite(value) else None


def compared(name: str, left: Cell, right: Cell) -> Cell:
    """Return whether a comparison holds: of two texts as text, of anything else as numbers.

    >>> compared("eq", "UP", "UP"), compared("eq", "1", 1), compared("lt", None, 1)
    (True, True, None)
    """
    if left is None or right is None:
        return None
    if isinstance(left, str) and isinstance(right, str):
        return COMPARE[name](left, right)
    first, second = number(left), number(right)
    return None if first is None or second is None else COMPARE[name](first, second)


def number(cell: Cell) -> int | float | None:
    """Return a cell as a number, a time as microseconds; None where it is empty. Raises ValueError for other text."""
    if isinstance(cell, str):
        return _parsed(cell.strip())
    if isinstance(cell, date):
        return time_us(cell)
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return int(cell) if isinstance(cell, bool) else cell


def time_us(cell: Cell) -> int:
    """Return a cell as microseconds UTC; a time without a zone is UTC. Raises ValueError where it is no time."""
    if isinstance(cell, str):
        cell = _instant(cell.strip())
    if isinstance(cell, datetime):
        return ((cell if cell.tzinfo else cell.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
    if isinstance(cell, date):
        return time_us(datetime.combine(cell, time(tzinfo=UTC)))
    if cell is None or isinstance(cell, bool):
        raise ValueError("there is no time")
    us = round(cell)
    if not YEAR_1_US <= us <= YEAR_9999_US:
        raise ValueError(f"{cell} microseconds lie outside of the years 1 to 9999")
    return us


def rfc3339(us: int) -> str:
    """Return microseconds as text.

    >>> rfc3339(1_714_564_800_000_000), rfc3339(1)
    ('2024-05-01T12:00:00Z', '1970-01-01T00:00:00.000001Z')
    """
    return (EPOCH + timedelta(microseconds=us)).replace(tzinfo=None).isoformat() + "Z"


def text(cell: Cell) -> str | None:
    """Return a cell as text; a whole float loses nothing but its point."""
    if isinstance(cell, date):
        return rfc3339(time_us(cell))
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return None if not math.isfinite(cell) else str(int(cell)) if cell.is_integer() else repr(cell)
    return None if cell is None else str(cell)


def whole(cell: Cell) -> int | None:
    """Return a cell as an integer. Raises ValueError where it is none."""
    value = number(cell)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return None if value is None else int(value)


def real(cell: Cell) -> float | None:
    """Return a cell as a float. Raises ValueError where it is none."""
    value = number(cell)
    return None if value is None else float(value)


def truth(cell: Cell) -> bool | None:
    """Return a cell as a bool: itself, 0 or 1, or such a text. Raises ValueError where it is none."""
    if cell is None or isinstance(cell, bool):
        return cell
    plain = (text(cell) or "").strip()
    if plain in EMPTY:
        return None
    if plain.lower() in TRUE:
        return TRUE[plain.lower()]
    raise ValueError(f"`{plain[:40]}` is neither true nor false")


def moment(cell: Cell) -> str:
    """Return a cell as the text of a time."""
    return rfc3339(time_us(cell))


COERCE: Mapping[str, Callable[[Cell], Scalar]] = {
    "str": text,
    "int": whole,
    "float": real,
    "bool": truth,
    "datetime": moment,
}


def _parsed(plain: str) -> int | float | None:
    if plain in EMPTY:
        return None
    for kind in (int, float):
        try:
            value = kind(plain)
        except ValueError:
            continue
        return value if math.isfinite(value) else None
    try:
        return time_us(plain)
    except ValueError as error:
        raise ValueError(f"`{plain[:40]}` is no number") from error


def _instant(plain: str) -> datetime:
    try:
        return datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError(f"`{plain[:40]}` is no time such as 2024-05-01T12:00:00Z") from error
