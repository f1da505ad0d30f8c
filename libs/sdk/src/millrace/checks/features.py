"""Aggregates as features: of what, over which windows."""

from collections.abc import Iterator, Mapping

from millrace import durations
from millrace.checks.custom import custom_path
from millrace.checks.draft import Draft
from millrace.checks.expressions import Scope, checked
from millrace.checks.operations import NUMBERS
from millrace.expressions import AnyExpression, Condition
from millrace.groups import LAST_MAX, Aggregate, GroupDeclaration, Part, Rule, Single, Source, Windowed
from millrace.spec import AggregateOp, Dtype, Expr, FeatureSpec

WINDOW_US_MIN = durations.microseconds("1s")
WINDOW_US_MAX = durations.microseconds("90d")
"""Raw-data, from which a window is rebuilt, is kept a little longer."""
HALF_LIVES = 32
"""A decayed aggregate's window in half-lives: what is older weighs less than a 32-bit float can tell."""
HALF_LIFE_US_MAX = durations.microseconds("67h")
ANY: tuple[Dtype, ...] = ("str", "int", "float", "bool", "datetime")
TAKES: Mapping[AggregateOp, tuple[Dtype, ...]] = {"count": ANY, "distinct": ANY}
"""What an aggregate takes, where it is not numbers."""
NO_ARGUMENT: tuple[AggregateOp, ...] = ("count", "rate", "time_since_last")
NO_WINDOW: Mapping[AggregateOp, str] = {
    "decayed_sum": "its past is weighted by half_life",
    "decayed_mean": "its past is weighted by half_life",
    "time_since_last": "it looks at the newest event",
}


def features_of(name: str, declared: GroupDeclaration, draft: Draft) -> Iterator[FeatureSpec]:
    """Yield the features that one aggregate of a group's body stands for."""
    source = declared.aggregates[name]
    draft.name(source.place, name, of="a feature")
    if isinstance(source, Aggregate):
        mend = 'say over which: .over("1h", "24h"), .over(last=10)'
        draft.mistake(source.place, f"{name} has no window", mend=mend)
        return
    if not isinstance(source, Source):
        mend = "put derive(...) outside of the group, and list it in the view; in a group stand aggregates"
        draft.mistake(source.place, f"{name} is no aggregate", mend=mend)
        return
    rule = source.rule
    if not _is_right(name, rule, draft):
        return
    argument = _argument(name, rule, declared, draft)
    where = _where(name, rule.where, rule, declared, draft)
    half_life_us = _half_life(name, rule, draft)
    custom = custom_path(name, rule.custom, rule.place, draft) if rule.op == "custom" else None
    for part in _parts(name, source, draft):
        window_us = _window(name, part, source, draft) if half_life_us is None else HALF_LIVES * half_life_us
        full = f"{name}_{part.suffix}" if part.suffix else name
        yield FeatureSpec(
            full,
            rule.op,
            argument,
            window_us,
            part.n,
            where,
            rule.include_current,
            part.events,
            None if rule.q is None else float(rule.q),
            half_life_us,
            custom,
        )


def _is_right(name: str, rule: Rule, draft: Draft) -> bool:
    """Return whether what the aggregate asks for exists; note a mistake where it does not."""
    before = len(draft.mistakes)
    draft.is_a(rule.place, rule.include_current, bool, of=f"{name}'s include_current")
    if not _whole(rule.n, LAST_MAX):
        mend = f"take n between 1 and {LAST_MAX}: that many newest events are held"
        draft.mistake(rule.place, f"{name}: last of n={rule.n}", mend=mend)
    if rule.op == "quantile" and not (isinstance(rule.q, int | float) and 0 < rule.q < 1):
        mend = "take a share between 0 and 1, such as 0.95; agg.min and agg.max are its ends"
        draft.mistake(rule.place, f"{name} is the quantile {rule.q}", mend=mend)
    return len(draft.mistakes) == before


def _half_life(name: str, rule: Rule, draft: Draft) -> int | None:
    if rule.half_life is None:
        return None
    us = draft.duration(rule.place, rule.half_life, of=f"{name}'s half_life", least_us=WINDOW_US_MIN)
    if us > HALF_LIFE_US_MAX:
        mend = f"take at most {durations.text(HALF_LIFE_US_MAX)}: {HALF_LIVES} half-lives are the past that it needs"
        draft.mistake(rule.place, f"{name}'s half_life is {rule.half_life}", mend=mend)
    return us


def _parts(name: str, source: Source, draft: Draft) -> tuple[Part, ...]:
    """Return what the features are over; note a mistake where that is nothing, or too much."""
    if isinstance(source, Single) and source.windows:
        mend = f"take .over(...) away: {NO_WINDOW[source.rule.op]}"
        draft.mistake(source.place, f"{name}: agg.{source.rule.op} takes no window", mend=mend)
        return ()
    if not isinstance(source, Windowed):
        return source.parts
    if not source.parts:
        mend = 'say over which: .over("1h", "24h"), .over(last=10)'
        draft.mistake(source.place, f"{name} is over no window", mend=mend)
    if source.last is not None:
        _events(name, source.last, source, draft)
    return source.parts


def _events(name: str, last: int, source: Windowed[object], draft: Draft) -> None:
    if not _whole(last, LAST_MAX):
        mend = f"take last between 1 and {LAST_MAX}: that many newest events are held"
        draft.mistake(source.place, f"{name} is over last={last!r}", mend=mend)
    elif source.rule.n > last:
        mend = "take n values of at least as many events"
        draft.mistake(source.place, f"{name}: last of n={source.rule.n} over last={last}", mend=mend)
    if source.rule.op == "rate":
        mend = 'say over how long: .over("1h")'
        draft.mistake(source.place, f"{name}: a rate over events, not over time", mend=mend)


def _window(name: str, part: Part, source: Source, draft: Draft) -> int | None:
    if part.window is None:
        return None
    window_us = draft.duration(source.place, part.window, of=f"{name}'s window", least_us=WINDOW_US_MIN)
    if window_us > WINDOW_US_MAX:
        mend = f"take at most {durations.text(WINDOW_US_MAX)}: raw-data, from which it is rebuilt, is kept no longer"
        draft.mistake(source.place, f"{name} is over {part.window}", mend=mend)
    return window_us


def _argument(name: str, rule: Rule, declared: GroupDeclaration, draft: Draft) -> Expr | None:
    argument: AnyExpression | None = rule.argument
    if argument is None:
        if rule.op not in NO_ARGUMENT:
            draft.mistake(rule.place, f"{name} is of nothing", mend="give it a field: agg.mean(Sale.amount)")
        return None
    found = checked(argument, rule.place, Scope(declared.on, draft, name))
    if found is not None and found.dtype not in TAKES.get(rule.op, NUMBERS):
        mend = "aggregate a number; agg.count and agg.distinct take anything"
        draft.mistake(rule.place, f"{name} is of a {found.dtype}", mend=mend)
    return found.expr if found else None


def _where(name: str, where: Condition | None, rule: Rule, declared: GroupDeclaration, draft: Draft) -> Expr | None:
    if where is None:
        return None
    found = checked(where, rule.place, Scope(declared.on, draft, f"{name}'s where"))
    if found is not None and found.dtype != "bool":
        draft.mistake(rule.place, f"{name}'s where is a {found.dtype}", mend="compare it: where=Sale.amount > 500")
    return found.expr if found else None


def _whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
