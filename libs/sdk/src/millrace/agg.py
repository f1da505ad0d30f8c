"""Aggregates over an entity's past: `agg.count().over("1h", "24h")`, `agg.mean(Transaction.amount).over(last=10)`.

A window `W` at an event of time `t` holds the entity's earlier events in `[t - W, t)`: strictly before, so that nothing
knows itself; `include_current=True` takes the event in. `over(last=n)` holds its n newest events, at most 64, however
old. `where` keeps the events for which it is true; an event whose argument is missing is left out.
"""

from millrace.custom import CustomAggregate
from millrace.expressions import AnyExpression, Condition, Number
from millrace.groups import Aggregate, Last, Rule, Single
from millrace.spec import AggregateOp


def count(
    argument: AnyExpression | None = None, *, where: Condition | None = None, include_current: bool = False
) -> Aggregate[int]:
    """Count the events; with an argument, those that have it."""
    return Aggregate(Rule(op="count", argument=argument, where=where, include_current=include_current))


def sum(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Add up a number; 0 where there is none."""
    return _of("sum", argument, where, include_current=include_current)


def mean(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the mean of a number; missing where there is none."""
    return _of("mean", argument, where, include_current=include_current)


def min(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the least of a number; missing where there is none."""
    return _of("min", argument, where, include_current=include_current)


def max(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the greatest of a number; missing where there is none."""
    return _of("max", argument, where, include_current=include_current)


def var(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the variance of a number, of the population (divided by n); missing where there is none."""
    return _of("var", argument, where, include_current=include_current)


def std(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the standard deviation of a number, of the population; missing where there is none."""
    return _of("std", argument, where, include_current=include_current)


def first(argument: Number, *, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Take the oldest value by event time in the window; missing where there is none."""
    return _of("first", argument, where, include_current=include_current)


def last(argument: Number, *, n: int = 1, where: Condition | None = None, include_current: bool = False) -> Last:
    """Take the last `n` values by event time, however old: features `<name>_1` (the newest) to `<name>_<n>`.

    `over("24h")` looks no further back than that. It sees the entity's 64 newest events, so n is at most 64.
    """
    return Last(Rule(op="last", argument=argument, where=where, include_current=include_current, n=n))


def distinct(
    argument: AnyExpression, *, where: Condition | None = None, include_current: bool = False
) -> Aggregate[int]:
    """Count the different values, of text too: exactly up to 64, beyond that within 4.6 % (standard error)."""
    return Aggregate(Rule(op="distinct", argument=argument, where=where, include_current=include_current))


def quantile(
    argument: Number, q: float, *, where: Condition | None = None, include_current: bool = False
) -> Aggregate[float]:
    """Take the least value that is not below a share `q` of them: 0.5 is the median; missing where there is none.

    Exact while the window holds at most 64 events, beyond that within 1 % of the value, or more if the values span more
    than 128 steps of 2 %.
    """
    return Aggregate(Rule(op="quantile", argument=argument, where=where, include_current=include_current, q=q))


def decayed_sum(
    argument: Number, *, half_life: str, where: Condition | None = None, include_current: bool = False
) -> Single[float]:
    """Add up a number whose weight halves every `half_life` (`"6h"`); 0 where there is none. It takes no window."""
    return _decayed("decayed_sum", argument, half_life, where, include_current=include_current)


def decayed_mean(
    argument: Number, *, half_life: str, where: Condition | None = None, include_current: bool = False
) -> Single[float]:
    """Take the mean of a number weighted by age, halved every `half_life`; missing where there is none. No window."""
    return _decayed("decayed_mean", argument, half_life, where, include_current=include_current)


def time_since_last(*, where: Condition | None = None) -> Single[float]:
    """Take the seconds since the entity's newest event before this one; missing where there is none. No window.

    It sees the entity's 64 newest events: one that comes later than all of them, or a condition that none of them
    meets, finds nothing.
    """
    return Single(Rule(op="time_since_last", where=where))


def rate(*, where: Condition | None = None, include_current: bool = False) -> Aggregate[float]:
    """Count the events per second of the window."""
    return Aggregate(Rule(op="rate", where=where, include_current=include_current))


def ratio(argument: Number, *, where: Condition | None = None) -> Aggregate[float]:
    """Divide the number of the event at hand by its mean over the window, which is without that event.

    Missing where there is no event at hand, no past, or the mean is 0.
    """
    return _of("ratio", argument, where, include_current=False)


def custom(
    aggregate: type[CustomAggregate],
    argument: Number,
    *,
    where: Condition | None = None,
    include_current: bool = False,
) -> Aggregate[float]:
    """Compute a team's own aggregate of a number: a subclass of `CustomAggregate` in a file that can be imported.

    It says how many numbers it remembers (`cells`) and has four static verbs, which are compiled, and their plain
    oracle, which is not: `prepare`, `update`, `merge`, `finalize`, `oracle`. `pydoc millrace.CustomAggregate` has them.
    """
    rule = Rule(op="custom", argument=argument, where=where, include_current=include_current, custom=aggregate)
    return Aggregate(rule)


def _of(op: AggregateOp, argument: Number, where: Condition | None, *, include_current: bool) -> Aggregate[float]:
    return Aggregate(Rule(op=op, argument=argument, where=where, include_current=include_current))


def _decayed(
    op: AggregateOp, argument: Number, half_life: str, where: Condition | None, *, include_current: bool
) -> Single[float]:
    rule = Rule(op=op, argument=argument, where=where, include_current=include_current, half_life=half_life)
    return Single(rule)
