"""The slow fold of a log: what features must have published, and must hold, given what lies on a topic.

It walks the records in log order, as the settle model's `truth` does: a record outside its entity's partition counts
nowhere, of the copies of one origin only the first is looked at, and the rest is the oracle's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.unit.oracles.windows import Oracle, Past

from millrace.spec import Deployment, EventSpec, GroupSpec, Scalar
from millrace_common.keys import partition_of
from millrace_common.records import Record

CORRECTION = "millrace-correction"
Placed = Sequence[tuple[EventSpec, Past]]
EntityOf = Callable[[EventSpec, Mapping[str, Scalar]], str]


@dataclass
class Folded:
    """What a log comes to. Rows by (event type, event id)."""

    rows: dict[tuple[str, str], dict[str, dict[str, Scalar]]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    duplicates: int = 0
    entities: dict[str, Oracle] = field(default_factory=dict)


def fold(
    log: Sequence[Sequence[Record]], deployment: Deployment, groups: tuple[GroupSpec, ...], entity_of: EntityOf
) -> Folded:
    """Fold the partitions of a topic."""
    folded = Folded()
    copies = any(group.by != deployment.events[group.event].entity_fields for group in groups)
    for entity, events in placed(log, deployment, entity_of).items():
        oracle = folded.entities[entity] = Oracle(groups, deployment.events, copies=copies)
        for spec, past in events:
            row = oracle.step(spec, past)
            if row.verdict in ("counted", "corrected", "withdrawn"):
                folded.rows[past.type, past.event_id] = row.groups
            elif row.verdict == "late":
                folded.late.add(past.event_id)
            elif row.verdict == "duplicate":
                folded.duplicates += 1
    return folded


def placed(log: Sequence[Sequence[Record]], deployment: Deployment, entity_of: EntityOf) -> dict[str, Placed]:
    """Return each entity's events that lie where they belong, in log order; others count nowhere."""
    entities: dict[str, list[tuple[EventSpec, Past]]] = {}
    for partition, records in enumerate(log):
        origins: set[str] = set()
        for record in records:
            event = _event(record, deployment)
            if event is None:
                continue
            entity = entity_of(event[0], event[1].fields)
            if partition_of(entity, len(log)) != partition:
                continue
            origin = record.header("millrace-moved")
            if origin is not None:
                place = origin.rsplit("/", 1)[0]
                if place in origins:
                    continue
                origins.add(place)
            entities.setdefault(entity, []).append(event)
    return dict(entities)


def _event(record: Record, deployment: Deployment) -> tuple[EventSpec, Past] | None:
    spec = deployment.events.get(record.header("ce_type") or "")
    try:
        fields = json.loads(record.value or b"")
    except ValueError:
        return None
    if spec is None or not isinstance(fields, dict):
        return None
    time_us = int(fields[spec.time_field]) * 1_000
    return spec, Past(str(fields.get(spec.id_field or "")), spec.type, time_us, fields, record.header(CORRECTION))
