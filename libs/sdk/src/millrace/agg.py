"""Aggregates over an entity's past: `agg.count().over("1h", "24h")`, `agg.last(Transaction.amount, n=3)`.

A window `W` at an event of time `t` holds the entity's earlier events in `[t - W, t)`: strictly before, so that nothing
knows itself; `include_current=True` takes the event in. `where` keeps the events for which it is true.
"""

from millrace.expressions import Condition, Expression, Number
from millrace.groups import Aggregate, Last


def count(*, where: Condition | None = None, include_current: bool = False) -> Aggregate[int]:
    """Count the events."""
    return Aggregate("count", None, where=where, include_current=include_current)


def sum(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Add up a number; 0 where there is none."""
    return Aggregate("sum", argument, where=where, include_current=include_current)


def mean(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the mean of a number; missing where there is none."""
    return Aggregate("mean", argument, where=where, include_current=include_current)


def min(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the least of a number; missing where there is none."""
    return Aggregate("min", argument, where=where, include_current=include_current)


def max(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the greatest of a number; missing where there is none."""
    return Aggregate("max", argument, where=where, include_current=include_current)


def last(argument: Number, *, n: int = 1, where: Condition | None = None, include_current: bool = False) -> Last:
    """Take the last `n` values of a number, however old: features `<name>_1` (the newest) to `<name>_<n>`."""
    return Last(argument, n, where=where, include_current=include_current)


def distinct(argument: Expression[object], *, where: Condition | None = None) -> Aggregate[int]:
    """Count the different values. Not available in this version."""
    return Aggregate("distinct", argument, where=where, include_current=False)


def decayed_sum(argument: Number, *, half_life: str, where: Condition | None = None) -> Aggregate[float]:
    """Add up a number whose weight halves every `half_life`. Not available in this version."""
    return Aggregate("decayed_sum", argument, where=where, include_current=False)
