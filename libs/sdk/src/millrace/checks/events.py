"""Event classes as contracts."""

from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from millrace.checks.draft import CLASS_NAME, Draft
from millrace.events import Event, Field
from millrace.places import Place
from millrace.spec import Dtype, EventSpec, FieldSpec

DTYPES: dict[object, Dtype] = {str: "str", int: "int", float: "float", bool: "bool", datetime: "datetime"}
RESERVED = {
    "type": "it names the event's type in plain JSON",
    "where": "from_file uses it",
    "delay": "from_file uses it",
}
IDENTIFYING = ("id", "entity", "refers")


def event_spec(event: type[Event], draft: Draft) -> EventSpec | None:
    """Return the contract of an event class; None where it has mistakes."""
    if event not in draft.events:
        draft.events[event] = None  # an event that refers to itself ends here
        before = len(draft.mistakes)
        spec = _spec(event, draft)
        draft.events[event] = spec if len(draft.mistakes) == before else None
    return draft.events[event]


def _spec(event: type[Event], draft: Draft) -> EventSpec | None:
    declared = event.__declared__
    if event.__bases__ != (Event,):
        draft.mistake(
            declared.place, f"{event.__name__} inherits fields", mend="declare it as a direct subclass of Event"
        )
        return None
    draft.name(declared.place, declared.type, of="an event type")
    if not CLASS_NAME.fullmatch(event.__name__):
        draft.mistake(declared.place, f"`{event.__name__}` is no class name", mend="name it such as `CardPayment`")
    draft.at_least(declared.place, declared.version, 1, of=f"{event.__name__}'s version")
    fields = _fields(event, draft)
    _roles(event, fields, draft)
    if None in fields.values() or not _is_whole(event):
        return None
    return _assembled(event, tuple(spec for spec in fields.values() if spec), draft)


def _fields(event: type[Event], draft: Draft) -> dict[str, FieldSpec | None]:
    declared = event.__declared__
    try:
        hints = get_type_hints(event, globalns=dict(declared.place.names))
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        draft.mistake(declared.place, f"{event.__name__}'s annotations: {error}", mend="import what they name")
        return {}
    return {name: _field(field, hints.get(name), draft) for name, field in declared.fields.items()}


def _field(field: Field[Any], hint: object, draft: Draft) -> FieldSpec | None:
    title = _title(field)
    kind = _dtype(hint)
    if kind is None:
        mend = "annotate it as Field[str], int, float, bool or datetime, with `| None` where it may be absent"
        draft.mistake(_place(field), f"{title} has no type of a field", mend=mend)
        return None
    draft.name(_place(field), field.name, of="a field")
    if field.name in RESERVED:
        draft.mistake(_place(field), f"{title}: the name is reserved, {RESERVED[field.name]}", mend="rename the field")
    dtype, optional = kind
    terms = field.terms
    spec = FieldSpec(field.name, dtype, terms.role, optional, terms.ge, terms.gt, terms.le, terms.lt, terms.pii)
    _kinds(spec, title, _place(field), draft)
    _limits(spec, title, _place(field), draft)
    return spec


def _dtype(hint: object) -> tuple[Dtype, bool] | None:
    if get_origin(hint) is not Field:
        return None
    (kind,) = get_args(hint)
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    present = [one for one in kinds if one is not NoneType]
    if len(present) != 1 or present[0] not in DTYPES:
        return None
    return DTYPES[present[0]], len(kinds) == 2


def _kinds(spec: FieldSpec, title: str, place: Place, draft: Draft) -> None:
    if spec.role in IDENTIFYING and spec.dtype not in ("str", "int"):
        draft.mistake(place, f"{title} identifies by a {spec.dtype}", mend="make it Field[str] or Field[int]")
    if spec.role == "time" and spec.dtype != "datetime":
        draft.mistake(place, f"{title} is a time of type {spec.dtype}", mend="make it Field[datetime]")
    if spec.role != "plain" and spec.optional:
        draft.mistake(
            place, f"{title} may be absent", mend="take `| None` away: ids, entities and times are always there"
        )
    if spec.pii not in (None, "hash"):
        draft.mistake(place, f"{title}: pii={spec.pii!r}", mend='write pii="hash"')
    if spec.pii and spec.dtype != "str":
        draft.mistake(
            place, f'{title}: pii="hash" on a {spec.dtype}', mend='make it Field[str], or take pii="hash" away'
        )


def _limits(spec: FieldSpec, title: str, place: Place, draft: Draft) -> None:
    lower, upper = (spec.ge, spec.gt), (spec.le, spec.lt)
    stated = [limit for limit in (*lower, *upper) if limit is not None]
    if not all(isinstance(limit, int | float) for limit in stated):
        draft.mistake(place, f"{title} has a limit that is no number", mend="give limits as numbers")
    elif stated and spec.dtype not in ("int", "float"):
        draft.mistake(place, f"{title}: limits on a {spec.dtype}", mend="give limits to numbers only")
    elif None not in lower or None not in upper:
        draft.mistake(place, f"{title} has two limits on one side", mend="keep one of ge and gt, one of le and lt")
    elif len(stated) == 2 and stated[0] > stated[1]:
        draft.mistake(place, f"{title}: no number is within its limits", mend="exchange the limits")


def _roles(event: type[Event], fields: dict[str, FieldSpec | None], draft: Draft) -> None:
    place, name = event.__declared__.place, event.__name__
    count = {role: len(_having(event, role)) for role in ("time", *IDENTIFYING)}
    if count["time"] != 1:
        what = "no event_time" if not count["time"] else "several event times"
        draft.mistake(place, f"{name} has {what}", mend="give it one `ts: Field[datetime] = event_time()`")
    for role in ("id", "refers"):
        if count[role] > 1:
            draft.mistake(place, f"{name} has several fields that are its {role}", mend="keep one of them")
    if not count["entity"] and not count["refers"]:
        mend = "mark the field it is about with entity(), or the earlier event's id with refers_to(...)"
        draft.mistake(place, f"{name} has no entity", mend=mend)
    if count["entity"] and count["refers"]:
        mend = "keep refers_to(...) and make the entity a plain field: the event is keyed by what it refers to"
        draft.mistake(place, f"{name} has an entity and refers to another event", mend=mend)


def _having(event: type[Event], role: str) -> tuple[Field[Any], ...]:
    return tuple(field for field in event.__declared__.fields.values() if field.terms.role == role)


def _is_whole(event: type[Event]) -> bool:
    return len(_having(event, "time")) == 1 and any(_having(event, role) for role in ("entity", "refers"))


def _assembled(event: type[Event], fields: tuple[FieldSpec, ...], draft: Draft) -> EventSpec:
    declared = event.__declared__
    (time,) = _having(event, "time")
    identity, refers = next(iter(_having(event, "id")), None), next(iter(_having(event, "refers")), None)
    dedupe = draft.duration(_place(identity), identity.terms.dedupe, of="dedupe") if identity is not None else None
    return EventSpec(
        type=declared.type,
        class_name=event.__name__,
        version=declared.version,
        fields=fields,
        id_field=identity.name if identity is not None else None,
        entity_fields=tuple(field.name for field in _having(event, "entity")),
        time_field=time.name,
        refers_field=refers.name if refers is not None else None,
        refers_to=_referred(refers, fields, draft) if refers is not None else None,
        lateness_us=draft.duration(_place(time), time.terms.lateness, of="lateness"),
        max_future_us=draft.duration(_place(time), time.terms.max_future, of="max_future"),
        **({} if dedupe is None else {"dedupe_us": dedupe}),
    )


def _referred(field: Field[Any], fields: tuple[FieldSpec, ...], draft: Draft) -> str | None:
    target = field.terms.refers_to
    if not (isinstance(target, type) and issubclass(target, Event)):
        draft.mistake(_place(field), f"{_title(field)} refers to no event", mend="write refers_to(TheEarlierEvent)")
        return None
    if target is field.event:
        draft.mistake(_place(field), f"{_title(field)} refers to its own class", mend="refer to another event class")
    spec = event_spec(target, draft)
    if spec is None:
        return target.__declared__.type
    identity = next((one for one in spec.fields if one.name == spec.id_field), None)
    own = next(one for one in fields if one.name == field.name)
    if identity is None:
        mend = f"mark the id of {target.__name__} with event_id()"
        draft.mistake(_place(field), f"{_title(field)} refers to {target.__name__}, which has no id", mend=mend)
    elif identity.dtype != own.dtype:
        mend = f"make both Field[{identity.dtype}]"
        draft.mistake(_place(field), f"{_title(field)} is no id of {target.__name__}: the types differ", mend=mend)
    return spec.type


def _title(field: Field[Any]) -> str:
    return f"{field.event.__name__ if field.event else '?'}.{field.name}"


def _place(field: Field[Any]) -> Place:
    return field.place
