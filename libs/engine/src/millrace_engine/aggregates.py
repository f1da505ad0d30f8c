"""Aggregates over the values of a window: what each makes of them, one value at a time, in log order.

Values are float64; NaN is a missing value, and what an aggregate makes of nothing (a count or sum makes 0).
"""

from collections.abc import Callable, Sequence
from typing import Literal

AggregateName = Literal["count", "sum", "mean", "min", "max", "last"]
Aggregate = Callable[[Sequence[float], int], float]
"""Takes the values that are there, in log order, and n (which of the last); returns NaN for nothing."""

MISSING = float("nan")


def present(values: Sequence[float]) -> list[float]:
    """Return the values that are not missing.

    >>> present([1.0, MISSING, 2.0])
    [1.0, 2.0]
    """
    return [value for value in values if value == value]


def total(values: Sequence[float], _n: int = 1) -> float:
    """Add one at a time in log order: the built-in sum compensates, and not in every version of Python.

    >>> total([1e16, 1.0, -1e16])
    0.0
    """
    result = 0.0
    for value in values:
        result += value
    return result


def count(values: Sequence[float], _n: int = 1) -> float:
    """Return how many there are."""
    return float(len(values))


def mean(values: Sequence[float], _n: int = 1) -> float:
    """Return the mean; of nothing it is missing."""
    return total(values) / len(values) if values else MISSING


def least(values: Sequence[float], _n: int = 1) -> float:
    """Return the least; of nothing it is missing."""
    return min(values, default=MISSING)


def greatest(values: Sequence[float], _n: int = 1) -> float:
    """Return the greatest; of nothing it is missing."""
    return max(values, default=MISSING)


def last(values: Sequence[float], n: int = 1) -> float:
    """Return the n-th newest in log order, 1 the newest; missing where there are fewer.

    >>> last([3.0, 5.0], 2), last([3.0], 2)
    (3.0, nan)
    """
    return values[-n] if len(values) >= n else MISSING


AGGREGATES: dict[AggregateName, Aggregate] = {
    "count": count,
    "sum": total,
    "mean": mean,
    "min": least,
    "max": greatest,
    "last": last,
}
