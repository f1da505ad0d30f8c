"""Feature groups as lists of features."""

from dataclasses import replace

from millrace.checks.draft import CLASS_NAME, Draft
from millrace.checks.events import event_spec
from millrace.checks.features import features_of
from millrace.custom import code_of
from millrace.durations import text as duration
from millrace.groups import FeatureGroup, GroupDeclaration, Source
from millrace.hashing import content_hash
from millrace.spec import EventSpec, FeatureSpec, GroupSpec

LATENESS_IN_WINDOWS_MAX = 1_000
"""A window has twelve tiles, and as many more for each time it goes into the lateness."""


def group_spec(group: type[FeatureGroup], draft: Draft) -> GroupSpec | None:
    """Return the features of a group; None where it has mistakes."""
    if group not in draft.groups:
        draft.groups[group] = None
        draft.groups[group] = _spec(group, draft)
    return draft.groups[group]


def _spec(group: type[FeatureGroup], draft: Draft) -> GroupSpec | None:
    declared, before = group.__declared__, len(draft.mistakes)
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
    features = tuple(feature for name in declared.aggregates for feature in features_of(name, declared, draft))
    _unique(group, features, draft)
    _tiles(group, features, event, draft)
    if len(draft.mistakes) > before:
        return None
    spec = GroupSpec(group.__name__, event.type, declared.by, features, hash="")
    return replace(spec, hash=content_hash(spec, event.lateness_us, *_codes(declared)))


def _codes(declared: GroupDeclaration) -> list[str]:
    """Return the text of the team's own aggregates, which are part of the definition."""
    rules = [source.rule for source in declared.aggregates.values() if isinstance(source, Source)]
    return [code_of(rule.custom) for rule in rules if rule.custom is not None]


def _entity(group: type[FeatureGroup], event: EventSpec, draft: Draft) -> None:
    place = group.__declared__.place
    fields = {field.name: field for field in event.fields}
    by = group.__declared__.by
    if not by or len(set(by)) < len(by):
        mend = 'name the fields that make the entity, each once: by="card", by=("card", "merchant")'
        draft.mistake(place, f"{group.__name__} is by {by!r}", mend=mend)
    for name in group.__declared__.by:
        field = fields.get(name)
        if field is None:
            mend = f"{event.class_name} has {', '.join(fields)}"
            draft.mistake(place, f"{group.__name__} is by `{name}`, no field of {event.class_name}", mend=mend)
        elif field.dtype not in ("str", "int") or field.optional:
            mend = "name the entity by fields that are text or integers and always there"
            draft.mistake(place, f"{group.__name__} is by `{name}`, which cannot name an entity", mend=mend)


def _unique(group: type[FeatureGroup], features: tuple[FeatureSpec, ...], draft: Draft) -> None:
    names = [feature.name for feature in features]
    for name in sorted({name for name in names if names.count(name) > 1}):
        mend = "name each aggregate and window once"
        draft.mistake(group.__declared__.place, f"{group.__name__} has two features {name}", mend=mend)


def _tiles(group: type[FeatureGroup], features: tuple[FeatureSpec, ...], event: EventSpec, draft: Draft) -> None:
    """Refuse a window so much shorter than lateness that a busy entity would take a megabyte of tiles."""
    shortest = min((feature.window_us for feature in features if feature.window_us), default=None)
    if shortest is not None and event.lateness_us > LATENESS_IN_WINDOWS_MAX * shortest:
        least = duration(-(-event.lateness_us // LATENESS_IN_WINDOWS_MAX))
        mend = f"take a window of {least} or more, or less lateness"
        said = f"a window of {duration(shortest)} is too short beside the lateness {duration(event.lateness_us)}"
        draft.mistake(group.__declared__.place, f"{group.__name__}: {said} of {event.class_name}", mend=mend)
