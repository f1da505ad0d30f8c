"""One thing to score: what is known of it, what must be read for it, and what a model is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from millrace_common.keys import key_text
from millrace_common.messages import FeatureRow, Position, Scalar
from millrace_common.messages.prediction import GroupFacts
from millrace_common.slots import Held, Wanted
from millrace_engine.groups import GroupValues, Unreadable
from millrace_serving.core.definitions import Definition, Need

Stored = Mapping[Wanted, Held]
"""What was read of the online store."""
Values = Mapping[str, Scalar]
Via = Literal["stream", "predict", "infer"]
UNAVAILABLE, UNREADABLE, REBUILDING = "store-unavailable", "value-unreadable", "store-rebuilding"
_UNNAMED = Held(None, whole=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A question to a model. `known` are groups at hand, as they stood at `source`; the others are read."""

    definition: Definition
    via: Via
    at_us: int
    fields: Values
    entities: dict[str, str]
    known: Mapping[str, Values] = field(default_factory=dict)
    source: Position | None = None
    event_type: str | None = None
    event_id: str | None = None
    row_id: str | None = None


class Reading(NamedTuple):
    """What the store holds of a group, and what that says."""

    held: Held
    read: GroupValues | Unreadable


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a case came to: values by group for the view, facts of each group for the record, and the policy's no."""

    groups: dict[str, Values]
    facts: dict[str, GroupFacts]
    flags: tuple[str, ...]
    refusal: str | None


def case_of_row(row: FeatureRow, definition: Definition) -> Case:
    """Return the case of a spine row."""
    fields = row.fields or {}
    entities = {row.entity_type: row.entity_id}
    for need in definition.needs:
        if need.key not in row.groups and need.entity_type not in entities:
            entity_id = named_by(need, fields)
            if entity_id is not None:
                entities[need.entity_type] = entity_id
    return Case(
        definition,
        "stream",
        row.event_time_us,
        fields,
        entities,
        row.groups,
        row.source,
        row.event_type,
        row.event_id,
        row.row_id,
    )


def named_by(need: Need, fields: Values) -> str | None:
    """Return the id of a group's entity out of the event's fields; None where one is missing."""
    parts = [fields.get(name) for name in need.by]
    texts = tuple(part for part in parts if isinstance(part, str | int))
    return key_text(texts) if len(texts) == len(parts) else None


def wanted(case: Case) -> Iterator[Wanted]:
    """Yield what must be read from the online store for a case."""
    for need in case.definition.needs:
        if need.key not in case.known and need.entity_type in case.entities:
            yield Wanted(need.topic, need.entity_type, case.entities[need.entity_type], need.key)


def assemble(cases: Sequence[Case], stored: Stored | None) -> list[Inputs]:
    """Return the inputs of cases of one model under its policy; `stored` None: the store could not be read.

    `fail` refuses what is stale or missing; `default` gives the model missing values for what is stale, and an unseen
    entity's values for what is missing; `last` gives what is stored. A group that could not be read has no values. What
    lies in a slot that is being rebuilt is stale, whatever it says, and nothing is known of what is not there yet.
    """
    readings = {} if stored is None else _readings(cases, stored)
    return [_inputs(case, readings.get(place)) for place, case in enumerate(cases)]


def _readings(cases: Sequence[Case], stored: Stored) -> dict[int, list[Reading]]:
    """Return what is stored of each group for the cases that lack one, by their places: of all of them in one call."""
    definition = cases[0].definition
    needs, reader = definition.needs, definition.reader
    lacking = [i for i, case in enumerate(cases) if any(need.key not in case.known for need in needs)]
    if reader is None or not lacking:
        return {}
    held = [_held(cases[i], need, stored) for i in lacking for need in needs]
    read = reader.read(
        [one.value for one in held], [cases[i].at_us for i in lacking], [cases[i].fields for i in lacking]
    )
    of_each = iter(held)
    return {i: [Reading(next(of_each), one) for one in of_case] for i, of_case in zip(lacking, read, strict=True)}


def _held(case: Case, need: Need, stored: Stored) -> Held:
    return stored.get(Wanted(need.topic, need.entity_type, case.entities.get(need.entity_type, ""), need.key), _UNNAMED)


def _inputs(case: Case, readings: Sequence[Reading] | None) -> Inputs:
    groups: dict[str, Values] = {}
    facts: dict[str, GroupFacts] = {}
    flags: list[str] = []
    for place, need in enumerate(case.definition.needs):
        reading = None if readings is None else readings[place]
        groups[need.key], facts[need.key], flag = _group(case, need, reading)
        if flag is not None and flag not in flags:
            flags.append(flag)
    refused = [key for key, fact in facts.items() if fact.status != "fresh"]
    refusal = None
    if refused and case.definition.spec.missing == "fail":
        refusal = ", ".join(f"{key} is {facts[key].status}" for key in refused)
    return Inputs(groups, facts, tuple(flags), refusal)


def _group(case: Case, need: Need, reading: Reading | None) -> tuple[Values, GroupFacts, str | None]:
    known = case.known.get(need.key)
    if known is not None:
        return known, GroupFacts(status="fresh", age_ms=0, source=case.source), None
    if reading is None:
        return {}, GroupFacts(status="missing"), UNAVAILABLE
    held, read = reading
    if isinstance(read, Unreadable):
        return {}, GroupFacts(status="missing"), UNREADABLE
    status = read.status if held.whole else "stale"
    flag = None if status == "fresh" else status if held.whole else REBUILDING
    if status == "stale" and case.definition.spec.missing == "default":
        return {}, _facts(read, "defaulted"), flag
    return {} if held.value is None and not held.whole else read.values, _facts(read, status), flag


def _facts(read: GroupValues, status: Literal["fresh", "stale", "missing", "defaulted"]) -> GroupFacts:
    source = None
    if read.source is not None:
        topic, partition, offset = read.source
        source = Position(topic=topic, partition=partition, offset=offset)
    return GroupFacts(status=status, age_ms=read.age_ms, source=source)
