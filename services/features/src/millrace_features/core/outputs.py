"""What features publishes beside rows: labels, copies, and what did not count."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from millrace.keys import key_text
from millrace.spec import EventSpec, Scalar
from millrace_common.codec import encode
from millrace_common.ids import label_id
from millrace_common.messages import Label, Position
from millrace_common.records import Headers, Outgoing, Record
from millrace_common.topics import LATE, PARKED, RAW_DATA
from millrace_features.core.feeds import Feeds
from millrace_features.core.lots import Lot
from millrace_features.core.origin import copied


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event of a lot, for what is said of few."""

    lot: Lot
    index: int

    @property
    def record(self) -> Record:
        """Return it as it was read."""
        return self.lot.records[self.index]

    @property
    def spec(self) -> EventSpec:
        """Return its class."""
        return self.lot.spec

    @property
    def event_id(self) -> str:
        """Return its id."""
        return self.lot.event_ids[self.index]

    @property
    def entity_id(self) -> str:
        """Return what it is about on this topic."""
        return self.lot.entity_ids[self.index]

    @property
    def append_time_us(self) -> int:
        """Return when it first came."""
        return int(self.lot.appends_us[self.index])

    @property
    def fields(self) -> Mapping[str, Scalar]:
        """Return its fields as they are stored."""
        event = self.lot.fields.event(self.index)
        return {field.name: getattr(event, field.name) for field in self.spec.fields}


def labels(arrival: Arrival, feeds: Feeds) -> Iterator[Outgoing]:
    """Yield the labels that are seen in an event."""
    record, fields = arrival.record, arrival.fields
    for spec, evaluate in feeds.labels[arrival.spec.type]:
        message = Label(
            label_id=label_id(spec.name, arrival.event_id),
            name=spec.name,
            event_type=spec.event,
            event_id=arrival.entity_id,
            source_event_id=arrival.event_id,
            value=evaluate({}, fields),
            seen_time_us=int(arrival.lot.times_us[arrival.index]),
            append_time_us=arrival.append_time_us,
            source=Position(topic=record.topic, partition=record.partition, offset=record.offset),
        )
        yield encode(message, cause_offset=record.offset)


def copies(arrival: Arrival, feeds: Feeds) -> Iterator[Outgoing]:
    """Yield the copies of a counted event for the other entities that it names; a missing name has no copy."""
    fields = arrival.fields
    for forward in feeds.forwards[arrival.spec.type]:
        names = [fields[name] for name in forward.by]
        if None not in names:
            yield _copy(arrival, forward.topic, key_text(tuple(names)), None)  # type: ignore[arg-type]  # the loader lets text and integers name an entity


def moved(arrival: Arrival, home: int) -> Outgoing:
    """Return an event that lies in another entity's partition, as it is to lie in its own."""
    return _copy(arrival, RAW_DATA.name, arrival.entity_id, home)


def late(arrival: Arrival) -> Outgoing:
    """Return an event that came too late for its own entity, as it came, with the reason."""
    record, spec = arrival.record, arrival.spec
    why = _why(record, "late", f"more than {spec.lateness_us / 1e6:g} s behind the newest {spec.type} of its entity")
    return Outgoing(
        LATE.name, arrival.entity_id.encode(), record.value, record.headers + why, cause_offset=record.offset
    )


def not_held(arrival: Arrival) -> Outgoing:
    """Return a correction of an event that is not held as it came any more, as it came, with the reason."""
    record = arrival.record
    why = _why(record, "not-held", f"{arrival.spec.type} {arrival.event_id} is not held any more, or never counted")
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
    headers = copied(record, arrival.append_time_us, arrival.event_id)
    return Outgoing(topic, key.encode(), record.value, headers, partition, cause_offset=record.offset)


def _why(record: Record, reason: str, detail: str) -> Headers:
    return (
        ("millrace-reason", reason.encode()),
        ("millrace-detail", detail.encode()),
        ("millrace-source-topic", record.topic.encode()),
        ("millrace-source-partition", str(record.partition).encode()),
        ("millrace-source-offset", str(record.offset).encode()),
    )
