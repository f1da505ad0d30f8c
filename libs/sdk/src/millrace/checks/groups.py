"""Feature groups as lists of features."""

from collections.abc import Iterator
from typing import Literal, cast

from millrace import durations
from millrace.checks.draft import CLASS_NAME, Draft
from millrace.checks.events import event_spec
from millrace.checks.expressions import NUMBERS, Scope, checked
from millrace.expressions import AnyExpression, Condition
from millrace.groups import Aggregate, FeatureGroup, GroupDeclaration, Last, Windowed
from millrace.hashing import content_hash
from millrace.places import Place
from millrace.spec import EventSpec, Expr, FeatureSpec, GroupSpec

Name = Literal["count", "sum", "mean", "min", "max", "last"]
LATER = {"distinct": "agg.count()", "decayed_sum": 'agg.sum(...).over("24h")'}
WINDOW_US_MAX = durations.microseconds("60d")
"""As long as raw-data is kept: a window that reaches further could not be rebuilt."""
LAST_MAX = 100


def group_spec(group: type[FeatureGroup], draft: Draft) -> GroupSpec | None:
    """Return the features of a group; None where it has mistakes."""
    if group not in draft.groups:
        draft.groups[group] = None
        before = len(draft.mistakes)
        spec = _spec(group, draft)
        draft.groups[group] = spec if len(draft.mistakes) == before else None
    return draft.groups[group]


def _spec(group: type[FeatureGroup], draft: Draft) -> GroupSpec | None:
    declared = group.__declared__
    if not CLASS_NAME.fullmatch(group.__name__) or group.__bases__ != (FeatureGroup,):
        mend = "declare it as a direct subclass of FeatureGroup, named such as `CardSpend`"
        draft.mistake(declared.place, f"{group.__name__} is no group", mend=mend)
        return None
    event = event_spec(declared.on, draft)
    if event is None:
        return None
    _entity(group, event, draft)
    if not declared.aggregates:
        draft.mistake(declared.place, f"{group.__name__} has no features", mend='add one: n = agg.count().over("1h")')
    features = tuple(feature for name in declared.aggregates for feature in _features(name, declared, draft))
    _unique(group, features, draft)
    spec = GroupSpec(group.__name__, event.type, declared.by, features, hash="")
    return GroupSpec(spec.name, spec.event, spec.by, features, hash=content_hash(spec, event.lateness_us))


def _entity(group: type[FeatureGroup], event: EventSpec, draft: Draft) -> None:
    place = group.__declared__.place
    fields = {field.name: field for field in event.fields}
    for name in group.__declared__.by:
        field = fields.get(name)
        if field is None:
            mend = f"{event.class_name} has {', '.join(fields)}"
            draft.mistake(place, f"{group.__name__} is by `{name}`, no field of {event.class_name}", mend=mend)
        elif field.dtype not in ("str", "int") or field.optional:
            mend = "name the entity by fields that are text or integers and always there"
            draft.mistake(place, f"{group.__name__} is by `{name}`, which cannot name an entity", mend=mend)


def _features(name: str, declared: GroupDeclaration, draft: Draft) -> Iterator[FeatureSpec]:
    source = declared.aggregates[name]
    draft.name(source.place, name, of="a feature")
    if isinstance(source, Last):
        yield from _last(name, source, declared, draft)
    elif isinstance(source, Windowed):
        yield from _windowed(name, source, declared, draft)
    elif source.op in LATER:
        _later(source, draft)
    else:
        draft.mistake(source.place, f"{name} has no window", mend='say over which: .over("1h", "24h")')


def _last(name: str, source: Last, declared: GroupDeclaration, draft: Draft) -> Iterator[FeatureSpec]:
    if not isinstance(source.n, int) or not 1 <= source.n <= LAST_MAX:
        draft.mistake(source.place, f"{name}: last of n={source.n}", mend=f"take n between 1 and {LAST_MAX}")
        return
    argument = _argument(name, source.argument, source.place, declared, draft)
    where = _where(name, source.where, source.place, declared, draft)
    for nth in range(1, source.n + 1):
        yield FeatureSpec(f"{name}_{nth}", "last", argument, None, nth, where, source.include_current)


def _windowed(name: str, source: Windowed[object], declared: GroupDeclaration, draft: Draft) -> Iterator[FeatureSpec]:
    aggregate = source.aggregate
    if aggregate.op in LATER:
        _later(aggregate, draft)
        return
    argument = _argument(name, aggregate.argument, aggregate.place, declared, draft)
    where = _where(name, aggregate.where, aggregate.place, declared, draft)
    if not source.windows:
        draft.mistake(source.place, f"{name} is over no window", mend='say over which: .over("1h", "24h")')
    for window in source.windows:
        window_us = draft.duration(source.place, window, of=f"{name}'s window", least_us=1_000)
        if window_us > WINDOW_US_MAX:
            mend = "take a window of at most 60d: raw-data, from which it is rebuilt, is kept no longer"
            draft.mistake(source.place, f"{name} is over {window}", mend=mend)
        op = cast(Name, aggregate.op)
        yield FeatureSpec(f"{name}_{window}", op, argument, window_us, 1, where, aggregate.include_current)


def _later(aggregate: Aggregate[object], draft: Draft) -> None:
    mend = f"use {LATER[aggregate.op]}"
    draft.mistake(aggregate.place, f"agg.{aggregate.op} is not available in this version", mend=mend)


def _argument(
    name: str, argument: AnyExpression | None, place: Place, declared: GroupDeclaration, draft: Draft
) -> Expr | None:
    if argument is None:
        return None
    found = checked(argument, place, Scope(declared.on, draft, name))
    if found is not None and found.dtype not in NUMBERS:
        draft.mistake(place, f"{name} is of a {found.dtype}", mend="aggregate a number")
    return found.expr if found else None


def _where(name: str, where: Condition | None, place: Place, declared: GroupDeclaration, draft: Draft) -> Expr | None:
    if where is None:
        return None
    found = checked(where, place, Scope(declared.on, draft, f"{name}'s where"))
    if found is not None and found.dtype != "bool":
        draft.mistake(place, f"{name}'s where is a {found.dtype}", mend="compare it: where=Sale.amount > 500")
    return found.expr if found else None


def _unique(group: type[FeatureGroup], features: tuple[FeatureSpec, ...], draft: Draft) -> None:
    names = [feature.name for feature in features]
    for name in sorted({name for name in names if names.count(name) > 1}):
        mend = "name each aggregate and window once"
        draft.mistake(group.__declared__.place, f"{group.__name__} has two features {name}", mend=mend)
