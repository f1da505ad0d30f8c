"""What a record is: an event of this partition, one that must move, or none."""

from dataclasses import dataclass

import msgspec

from millrace_common.errors import Refused
from millrace_common.ids import event_id_at, label_event_id
from millrace_common.keys import partition_of
from millrace_common.records import Record
from millrace_common.topics import EVENT_BYTES_MAX
from millrace_engine.events import Event, Events
from millrace_features.core.feeds import Feed
from millrace_features.core.origin import EVENT_ID, Origin, origin_of

RECORD_BYTES_MAX = EVENT_BYTES_MAX + (64 << 10)
"""An event, its key and its headers: those of a move or a copy repeat its ids."""
_CANONICAL = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that keeps its contract, and the entity it is about on this topic. `home` is that entity's partition."""

    record: Record
    event: Event
    event_id: str
    entity_type: str
    entity_id: str
    home: int
    origin: Origin | None

    @property
    def is_home(self) -> bool:
        """Say whether it lies in its entity's partition."""
        return self.record.partition == self.home

    @property
    def append_time_us(self) -> int:
        """Return when it first came."""
        return self.record.append_time_us if self.origin is None else self.origin.append_time_us


@dataclass(frozen=True, slots=True)
class Intake:
    """The check of one topic's records."""

    events: Events
    feed: Feed
    partitions: int

    def admit(self, record: Record) -> Arrival:
        """Return the event in a record.

        Raises Parked, and Refused with the reasons of the contract check or `too-large`, `malformed-move`,
        `not-a-copy`, `future`, `misplaced`.
        """
        _refuse_large(record)
        origin = origin_of(record)
        if origin is None and self.feed.by is not None:
            raise Refused("not-a-copy", f"{record.topic} is written by features alone")
        event = self.events.check(
            record.value or b"",
            ce_type=record.header("ce_type"),
            ce_id=record.header("ce_id"),
            ce_dataschema=record.header("ce_dataschema"),
            ce_time=record.header("ce_time"),
        )
        entity_type, entity_id = self.feed.entity_of(event)
        home = partition_of(entity_id, self.partitions)
        arrival = Arrival(record, event, _event_id(record, event, origin), entity_type, entity_id, home, origin)
        _refuse_future(arrival)
        if origin is not None and not arrival.is_home:
            raise Refused("misplaced", f"a copy of {entity_type} {entity_id} lies outside partition {home}")
        return arrival


def _event_id(record: Record, event: Event, origin: Origin | None) -> str:
    """Return the id that an event has wherever it lies: stated, kept from where it lay, or made (CONTRACTS, Ids)."""
    if origin is not None and (kept := record.header(EVENT_ID)):
        return kept
    if event.id is not None:
        return event.id
    if event.spec.refers_to:
        return label_event_id(event.spec.type, event.entity_id, _CANONICAL.encode(dict(event.fields)).decode())
    return event_id_at(record.topic, record.partition, record.offset)


def _refuse_large(record: Record) -> None:
    """Refuse what the broker would not take back as a row or a copy: a send that never succeeds stops the partition."""
    if record.size_bytes > RECORD_BYTES_MAX:
        raise Refused("too-large", f"{record.size_bytes} bytes with key and headers; the limit is {RECORD_BYTES_MAX}")


def _refuse_future(arrival: Arrival) -> None:
    spec = arrival.event.spec
    ahead_us = arrival.event.time_us - arrival.append_time_us
    if ahead_us > spec.max_future_us:
        raise Refused(
            "future",
            f"{ahead_us / 1e6:.3f} s after the broker took it; at most {spec.max_future_us / 1e6:g} s",
            field=spec.time_field,
        )
