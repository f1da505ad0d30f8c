"""Which groups a view may take: those whose values stand in the rows of the view's event."""

from millrace.checks.draft import Draft
from millrace.checks.events import event_spec
from millrace.events import Event
from millrace.expressions import Derived, OneHot
from millrace.groups import Feature, FeatureGroup, Source
from millrace.models import Model
from millrace.places import Place


def shares_rows(group: type[FeatureGroup], model: Model, place: Place, draft: Draft) -> bool:
    """Return whether the rows of the model's event hold a group; note a mistake where they do not.

    They hold the groups on the event itself, and those on other events of the same entity: of its own entity, or of one
    by which the view has a group on the event too.
    """
    on, event = group.__declared__.on, model.label.event
    if on is event or _is_joined(group, model, draft):
        return True
    mend = f"take groups on {event.__name__}, the event that the label is about, or on others keyed by the same entity"
    draft.mistake(place, f"the view mixes events: {group.__name__} is on {on.__name__}", mend=mend)
    return False


def groups_of(item: object) -> set[type[FeatureGroup]]:
    """Return the groups that an entry of a view reads."""
    if isinstance(item, type) and issubclass(item, FeatureGroup):
        return {item}
    if isinstance(item, Feature | Source):
        source = item.source if isinstance(item, Feature) else item
        return {source.group} if source.group else set()
    if isinstance(item, Derived | OneHot):
        return groups_of(item.expression)
    return {group for operand in getattr(item, "operands", ()) for group in groups_of(operand)}


def _is_joined(group: type[FeatureGroup], model: Model, draft: Draft) -> bool:
    by, event = group.__declared__.by, model.label.event
    if _entity(group.__declared__.on, draft) == by:
        return _entity(event, draft) == by
    others = {one for item in model.view for one in groups_of(item)}
    mine = [one.__declared__ for one in others if one.__declared__.on is event]
    return _entity(event, draft) != by and any(declared.by == by for declared in mine)


def _entity(event: type[Event], draft: Draft) -> tuple[str, ...] | None:
    spec = event_spec(event, draft)
    return spec.entity_fields if spec else None
