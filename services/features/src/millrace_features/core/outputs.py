"""What features publishes: rows, labels, copies, and what did not count."""

from collections.abc import Iterator

from millrace_common.codec import encode
from millrace_common.ids import label_id, row_id
from millrace_common.messages import FeatureRow, Label, Position
from millrace_common.records import Headers, Outgoing, Record
from millrace_common.topics import LATE, PARKED, RAW_DATA
from millrace_engine.entity import Rows
from millrace_features.core.feeds import Feeds
from millrace_features.core.intake import Arrival
from millrace_features.core.origin import copied


def row(arrival: Arrival, groups: Rows, *, late: bool = False) -> Outgoing:
    """Return the entity's feature row at an event; the row of the event's own entity carries its fields."""
    event, record = arrival.event, arrival.record
    spine = record.topic == RAW_DATA.name
    message = FeatureRow(
        row_id=row_id(arrival.entity_type, event.spec.type, arrival.event_id, groups),
        event_type=event.spec.type,
        event_id=arrival.event_id,
        entity_type=arrival.entity_type,
        entity_id=arrival.entity_id,
        spine=spine,
        event_time_us=event.time_us,
        append_time_us=arrival.append_time_us,
        source=_position(record),
        late=late,
        groups=groups,
        fields=dict(event.fields) if spine else None,
    )
    return encode(message, cause_offset=record.offset)


def labels(arrival: Arrival, feeds: Feeds) -> Iterator[Outgoing]:
    """Yield the labels that are seen in an event."""
    event, record = arrival.event, arrival.record
    for spec, evaluate in feeds.labels[event.spec.type]:
        message = Label(
            label_id=label_id(spec.name, arrival.event_id),
            name=spec.name,
            event_type=spec.event,
            event_id=event.entity_id,
            source_event_id=arrival.event_id,
            value=evaluate({}, event.fields),
            seen_time_us=event.time_us,
            append_time_us=arrival.append_time_us,
            source=_position(record),
        )
        yield encode(message, cause_offset=record.offset)


def copies(arrival: Arrival, feeds: Feeds) -> Iterator[Outgoing]:
    """Yield the copies of a counted event for the other entities that it names; a missing name has no copy."""
    event = arrival.event
    for forward in feeds.forwards[event.spec.type]:
        if all(event.fields[name] is not None for name in forward.by):
            yield _copy(arrival, forward.topic, event.entity_of(forward.by), None)


def moved(arrival: Arrival) -> Outgoing:
    """Return an event that lies in another entity's partition, as it is to lie in its own."""
    return _copy(arrival, RAW_DATA.name, arrival.entity_id, arrival.home)


def late(arrival: Arrival) -> Outgoing:
    """Return an event that came too late for its own entity, as it came, with the reason."""
    record, spec = arrival.record, arrival.event.spec
    why = _why(record, "late", f"more than {spec.lateness_us / 1e6:g} s behind the newest {spec.type} of its entity")
    return Outgoing(
        LATE.name, arrival.entity_id.encode(), record.value, record.headers + why, cause_offset=record.offset
    )


def parked(record: Record, detail: str) -> Outgoing:
    """Return an event of a newer schema, as it came, with the reason."""
    why = _why(record, "newer-schema", detail)
    return Outgoing(
        PARKED.name, record.key, record.value, record.headers + why, record.partition, cause_offset=record.offset
    )


def _copy(arrival: Arrival, topic: str, key: str, partition: int | None) -> Outgoing:
    record = arrival.record
    headers = copied(record, arrival.origin, arrival.event_id)
    return Outgoing(topic, key.encode(), record.value, headers, partition, cause_offset=record.offset)


def _position(record: Record) -> Position:
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)


def _why(record: Record, reason: str, detail: str) -> Headers:
    return (
        ("millrace-reason", reason.encode()),
        ("millrace-detail", detail.encode()),
        ("millrace-source-topic", record.topic.encode()),
        ("millrace-source-partition", str(record.partition).encode()),
        ("millrace-source-offset", str(record.offset).encode()),
    )
