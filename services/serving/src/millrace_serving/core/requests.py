"""The body of `predict`: what a caller sends, checked against the event's contract."""

from datetime import datetime
from typing import cast

import msgspec

from millrace_common.errors import Refused
from millrace_common.keys import key_text
from millrace_common.messages import Scalar
from millrace_engine.contracts import microseconds
from millrace_serving.core.cases import Case, named_by
from millrace_serving.core.definitions import Definition
from millrace_serving.core.scoring import Scored

EVENT_ID_CHARACTERS_MAX = 512
ENTITY_ID_BYTES_MAX = 4_096
_AT_MS_MAX = 253_402_300_799_999
EntityId = str | int | list[str | int]


class Ask(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A question by entity. `at` is RFC 3339 or integer milliseconds; now where it is absent."""

    entities: dict[str, EntityId] = {}
    fields: dict[str, Scalar] = {}
    event_id: str | None = None
    at: str | int | None = None


class GroupAge(msgspec.Struct, frozen=True):
    """How old a feature group was."""

    status: str
    age_ms: int | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an Ask."""

    model: str
    version: str
    digest: str
    prediction_id: str
    score: float
    decision: Scalar
    threshold: float | None
    features: dict[str, Scalar]
    groups: dict[str, GroupAge]
    flags: tuple[str, ...]


def answer_of(scored: Scored, prediction_id: str) -> Answer:
    """Return what a caller is told."""
    definition, arm = scored.case.definition, scored.active.arm
    assert scored.score is not None
    assert scored.vector is not None
    return Answer(
        model=definition.name,
        version=arm.version,
        digest=arm.digest,
        prediction_id=prediction_id,
        score=scored.score,
        decision=scored.decision,
        threshold=scored.active.loaded.threshold,
        features=dict(zip(definition.columns, scored.vector, strict=True)),
        groups={key: GroupAge(fact.status, fact.age_ms) for key, fact in scored.facts.items()},
        flags=scored.flags,
    )


def case_of_ask(ask: Ask, definition: Definition, now_us: int) -> Case:
    """Return the case of a request; raises Refused naming the field."""
    for name in ask.entities:
        if name not in definition.entities:
            known = ", ".join(definition.entities)
            raise Refused("unknown-field", f"no such entity; known: {known}", field=f"entities.{name}")
    fields = _fields(ask, definition)
    if ask.event_id is not None and not 0 < len(ask.event_id) <= EVENT_ID_CHARACTERS_MAX:
        raise Refused("bad-value", f"1 to {EVENT_ID_CHARACTERS_MAX} characters", field="event_id")
    return Case(
        definition,
        "predict",
        now_us if ask.at is None else time_us(ask.at, "at"),
        fields,
        _entities(ask, definition, fields),
        event_type=definition.event.type,
        event_id=ask.event_id,
    )


def _entities(ask: Ask, definition: Definition, fields: dict[str, Scalar]) -> dict[str, str]:
    entities = {name: _entity_id(name, value, definition) for name, value in ask.entities.items()}
    for need in definition.needs:
        if need.entity_type not in entities:
            entity_id = named_by(need, fields)
            if entity_id is None:
                raise Refused("missing-field", "required", field=f"entities.{need.entity_type}")
            entities[need.entity_type] = entity_id
    return entities


def _entity_id(name: str, value: EntityId, definition: Definition) -> str:
    """Return an entity's id as the stream's events name it: composites as an array, personal parts by their hash."""
    by, place = definition.entities[name], f"entities.{name}"
    parts = value if isinstance(value, list) else [value]
    if len(parts) != len(by):
        raise Refused("wrong-type", f"expected [{', '.join(by)}]", field=place)
    taken = [_checked(definition, field, part, place) for field, part in zip(by, parts, strict=True)]
    text = key_text(tuple(part for part in taken if isinstance(part, str | int)))
    if len(text.encode()) > ENTITY_ID_BYTES_MAX:
        raise Refused("bad-value", f"at most {ENTITY_ID_BYTES_MAX} bytes", field=place)
    return text


def _fields(ask: Ask, definition: Definition) -> dict[str, Scalar]:
    known = definition.contract.shape.fields
    for name in ask.fields:
        if name not in known:
            raise Refused("unknown-field", f"{definition.event.type} has no such field", field=f"fields.{name}")
    for field in definition.fields:
        if field.name not in ask.fields and not field.optional:
            raise Refused("missing-field", "required", field=f"fields.{field.name}")
    return {name: _checked(definition, name, value, f"fields.{name}") for name, value in ask.fields.items()}


def _checked(definition: Definition, name: str, value: Scalar, place: str) -> Scalar:
    """Return a field's value as the event's contract has it; text may stand for an integer, and the reverse."""
    limited, bare, _ = definition.contract.shape.fields[name]
    if place.startswith("entities."):
        value = _as_declared(value, bare)
    try:
        found = msgspec.convert(value, limited)
        for replaced, convert in definition.contract.replaced:
            if replaced == name:
                (found,) = convert([found])
    except msgspec.ValidationError as error:
        raise Refused("bad-value", str(error), field=place) from error
    return cast(Scalar, found)


def _as_declared(value: Scalar, bare: object) -> Scalar:
    if bare is str and isinstance(value, int):
        return str(value)
    if bare is int and isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    return value


def time_us(value: str | int, place: str) -> int:
    """Return a time as microseconds; raises Refused naming the place.

    >>> time_us("1970-01-01T00:00:01Z", "at"), time_us(1_000, "at")
    (1000000, 1000000)
    """
    if isinstance(value, int):
        if not 0 <= value <= _AT_MS_MAX:
            raise Refused("out-of-range", "milliseconds since 1970 are expected", field=place)
        return value * 1_000
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused("wrong-type", f"{value[:40]!r} is not RFC 3339", field=place) from error
    if at.tzinfo is None:
        raise Refused("wrong-type", "a time needs its offset from UTC, as in 2026-01-31T12:00:00Z", field=place)
    try:
        return microseconds(at)
    except msgspec.ValidationError as error:
        raise Refused("out-of-range", str(error), field=place) from error
