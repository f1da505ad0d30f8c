"""The slow fold of a whole deployment: what must have been published, and be held, given what lies on raw-data.

It walks the logs record by record, keeps every counted event for ever, and has the slow oracle say what an entity's
groups come to. It shares with the product the messages, the ids, the murmur2 partition and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.e2e.reading import Dead, Newer, Read, read
from tests.unit.oracles.expressions import evaluated
from tests.unit.oracles.windows import Oracle, Past, Row

from millrace.spec import Deployment, EventSpec, GroupSpec, Scalar
from millrace_common.ids import label_id, row_id
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Label, Position
from millrace_common.records import Record

Log = Sequence[Sequence[Record]]
Place = tuple[int, int]
"""Partition and offset."""


class Kept:
    """One entity as one topic feeds it: what the slow oracle makes of it, and every counted event as it was read."""

    def __init__(self, groups: tuple[GroupSpec, ...], deployment: Deployment, *, copies: bool) -> None:
        """Begin without events."""
        self.oracle = Oracle(groups, deployment.events, copies=copies)
        self.copies = copies
        self.counted: dict[str, list[Read]] = defaultdict(list)
        self.last: Read | None = None

    def step(self, event: Read) -> Row:
        """Judge an event, count it where it counts, and return its row."""
        row = self.oracle.step(event.spec, Past(event.event_id, event.spec.type, event.time_us, event.fields))
        if row.verdict == "counted":
            self.counted[event.spec.type].append(event)
            self.last = event
        return row

    def missing(self) -> dict[str, dict[str, Scalar]]:
        """Return every group without a value."""
        return {group.spec.key: dict.fromkeys(names(group.spec)) for group in self.oracle.groups}


def names(spec: GroupSpec) -> list[str]:
    """Return the names of a group's features."""
    return [feature.name for feature in spec.features]


@dataclass
class Folded:
    """What the logs come to. `rows`, `labels` by id; places on raw-data by what became of the record there."""

    rows: dict[str, FeatureRow] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    entities: dict[tuple[str, str], Kept] = field(default_factory=dict)
    forwarded: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    """By topic: where each copy for another entity comes from."""
    dead: set[Place] = field(default_factory=set)
    late: set[Place] = field(default_factory=set)
    parked: set[Place] = field(default_factory=set)
    moved: set[Place] = field(default_factory=set)
    duplicates: int = 0
    repeats: int = 0
    """Records that are a second copy of one origin."""
    marks: dict[str, dict[int, dict[int, int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))
    """By entity type and partition: the highest origin offset of each source partition."""


def fold(log: Log, deployment: Deployment) -> Folded:
    """Fold raw-data."""
    folded = Folded()
    for records in log:
        copied: set[Place] = set()
        for event in _placed(records, deployment, folded, len(log), copied):
            entity = (event.spec.entity_type, event.key)
            kept = folded.entities.setdefault(entity, Kept(own_groups(deployment, entity[0]), deployment, copies=False))
            step = kept.step(event)
            if step.verdict == "counted":
                _count(folded, step, event, deployment)
            elif step.verdict == "late":
                folded.late.add((event.record.partition, event.record.offset))
            else:
                folded.duplicates += 1
    return folded


def fold_copies(log: Log, deployment: Deployment, entity_type: str) -> Folded:
    """Fold `raw-data.by-<entity type>`, which holds copies alone."""
    folded, groups = Folded(), other_groups(deployment, entity_type)
    for records in log:
        copied: set[Place] = set()
        for record in records:
            event = read(record, deployment)
            entity = event.named(groups[0].by)
            assert event.origin is not None
            assert partition_of(entity, len(log)) == record.partition
            if _is_repeated(event, entity_type, folded, copied):
                continue
            kept = folded.entities.setdefault((entity_type, entity), Kept(groups, deployment, copies=True))
            step = kept.step(event)
            assert step.verdict != "duplicate", "raw-data has counted this event already"
            values = step.groups if step.verdict == "counted" else kept.missing()
            row = _row(event, entity_type, entity, values, late=step.verdict == "late")
            folded.rows[row.row_id] = row
    return folded


def own_groups(deployment: Deployment, entity_type: str) -> tuple[GroupSpec, ...]:
    """Return the groups of an event's own entity."""
    return _groups(deployment, entity_type, own=True)


def other_groups(deployment: Deployment, entity_type: str) -> tuple[GroupSpec, ...]:
    """Return the groups that go by another entity than their event's own."""
    return _groups(deployment, entity_type, own=False)


def _placed(
    records: Sequence[Record], deployment: Deployment, folded: Folded, partitions: int, copied: set[Place]
) -> Iterator[Read]:
    """Yield the events that lie where their entity belongs, each origin once; note the others."""
    for record in records:
        place = (record.partition, record.offset)
        try:
            event = read(record, deployment)
        except Dead:
            folded.dead.add(place)
            continue
        except Newer:
            folded.parked.add(place)
            continue
        if partition_of(event.key, partitions) != record.partition:
            (folded.dead if event.origin else folded.moved).add(place)
        elif not _is_repeated(event, event.spec.entity_type, folded, copied):
            yield event


def _is_repeated(event: Read, entity_type: str, folded: Folded, copied: set[Place]) -> bool:
    if event.origin is None:
        return False
    origin = (event.origin.partition, event.origin.offset)
    if origin in copied:
        folded.repeats += 1
        return True
    copied.add(origin)
    marks = folded.marks[entity_type][event.record.partition]
    marks[origin[0]] = max(origin[1], marks.get(origin[0], -1))
    return False


def _count(folded: Folded, step: Row, event: Read, deployment: Deployment) -> None:
    spec, record = event.spec, event.record
    for entity_type in deployment.repartitioned:
        if any(group.event == spec.type for group in other_groups(deployment, entity_type)):
            folded.forwarded[f"raw-data.by-{entity_type}"].add((record.partition, record.offset))
    if spec.refers_to is None:
        row = _row(event, spec.entity_type, event.key, step.groups, late=False)
        folded.rows[row.row_id] = row
    for label in _labels(event, spec, deployment):
        folded.labels[label.label_id] = label


def _row(event: Read, entity_type: str, entity: str, groups: dict[str, dict[str, Scalar]], *, late: bool) -> FeatureRow:
    record = event.record
    is_spine = record.topic == "raw-data"
    return FeatureRow(
        row_id=row_id(entity_type, event.spec.type, event.event_id, groups),
        event_type=event.spec.type,
        event_id=event.event_id,
        entity_type=entity_type,
        entity_id=entity,
        spine=is_spine,
        event_time_us=event.time_us,
        append_time_us=event.append_us,
        source=_position(record),
        late=late,
        groups=groups,
        fields=event.fields if is_spine else None,
    )


def _labels(event: Read, spec: EventSpec, deployment: Deployment) -> Iterator[Label]:
    for label in deployment.labels.values():
        if label.seen_in == spec.type:
            yield Label(
                label_id=label_id(label.name, event.event_id),
                name=label.name,
                event_type=label.event,
                event_id=event.key,
                source_event_id=event.event_id,
                value=evaluated(label.value, event.fields),
                seen_time_us=event.time_us,
                append_time_us=event.append_us,
                source=_position(event.record),
            )


def _position(record: Record) -> Position:
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)


def _groups(deployment: Deployment, entity_type: str, *, own: bool) -> tuple[GroupSpec, ...]:
    return tuple(
        group
        for group in sorted(deployment.groups.values(), key=lambda group: group.key)
        if group.entity_type == entity_type and own == (group.by == deployment.events[group.event].entity_fields)
    )
