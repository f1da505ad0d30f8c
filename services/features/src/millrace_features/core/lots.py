"""Events of one class out of one batch, as columns: everything that is said of all of them is computed at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse

import msgspec
import numpy as np

from millrace.spec import EventSpec
from millrace_common.columns import Int64s, Records
from millrace_common.errors import Refused
from millrace_common.ids import event_id_at, label_event_id
from millrace_common.keys import partition_of
from millrace_common.records import Record, TopicPartition
from millrace_engine.events import Contract, FieldColumns, key_texts
from millrace_features.core.feeds import Feed
from millrace_features.core.origin import EVENT_ID, Origin

_NONE = Records.of(TopicPartition("", 0), ())
_CANONICAL = msgspec.json.Encoder(order="sorted")


@dataclass(slots=True)
class Lot:
    """Events that keep their contract, in log order; at one index of each column stands one event.

    `entity_ids` name what they are about on this topic. By place in the batch `origins` say where copies lay before,
    `corrections` which of them correct an event instead of telling of one.
    """

    contract: Contract
    entity_type: str
    by: tuple[str, ...]
    places: list[int] = field(default_factory=list)
    events: list[msgspec.Struct] = field(default_factory=list)
    origins: dict[int, Origin] = field(default_factory=dict)
    corrections: dict[int, str] = field(default_factory=dict)
    records: Records = _NONE
    event_ids: list[str] = field(default_factory=list)
    entity_ids: list[str] = field(default_factory=list)
    times_us: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    appends_us: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    """When they first came: of copies the origin's."""
    fields: FieldColumns = field(init=False)
    """As they are stored."""

    def __post_init__(self) -> None:
        self.fields = FieldColumns(self.spec, self.events)

    @classmethod
    def of(cls, contract: Contract, feed: Feed) -> "Lot":
        """Return an empty lot."""
        return cls(contract, feed.entity_type_of(contract.spec), feed.by or contract.key)

    @property
    def spec(self) -> EventSpec:
        """Return the class of the events."""
        return self.contract.spec

    def complete(self, records: Records) -> "Lot":
        """Fill the columns, given the records of the batch, places, events as they were sent and origins."""
        self.contract.store(self.events)
        self.records = records if len(self.places) == len(records) else records.chosen(self.places)
        self.entity_ids = self._entity_ids()
        self.times_us = np.array(self.fields[self.spec.time_field], np.int64)
        self.appends_us = self.records.append_times_us
        if self.origins:
            self.appends_us = self.appends_us.copy()
            for i, origin in self._copies():
                self.appends_us[i] = origin.append_time_us
        self.event_ids = self._event_ids()
        return self

    def _entity_ids(self) -> list[str]:
        return self.contract.texts(self.fields, *self.by) if len(self.by) == 1 else key_texts(self.events, self.by)

    def _event_ids(self) -> list[str]:
        """Return the ids that events have wherever they lie: stated, kept from where they lay, or made (CONTRACTS)."""
        if self.spec.id_field is not None:
            ids = self.contract.texts(self.fields, self.spec.id_field)
        else:
            ids = [self._id_of(record, event) for record, event in zip(self.records, self.events, strict=True)]
        kept = {i: self.records[i].header(EVENT_ID) for i, _ in self._copies()}
        return [kept.get(i) or id_ for i, id_ in enumerate(ids)] if kept else ids

    def _copies(self) -> list[tuple[int, Origin]]:
        """Return, by index, where copies lay before."""
        if not self.origins:
            return []
        return [(i, self.origins[place]) for i, place in enumerate(self.places) if place in self.origins]

    def _id_of(self, record: Record, event: msgspec.Struct) -> str:
        stated = record.header("ce_id") if record.headers else None
        if stated:
            return stated
        if self.spec.refers_to:
            refers_to = str(getattr(event, self.spec.refers_field or ""))
            return label_event_id(self.spec.type, refers_to, _CANONICAL.encode(event).decode())
        return event_id_at(record.topic, record.partition, record.offset)

    def future(self) -> dict[int, Refused]:
        """Return, by index, why events are refused whose time is too far ahead of when they came."""
        ahead_us = self.times_us - self.appends_us
        return {
            int(i): Refused(
                "future",
                f"{ahead_us[i] / 1e6:.3f} s after the broker took it; at most {self.spec.max_future_us / 1e6:g} s",
                field=self.spec.time_field,
            )
            for i in np.flatnonzero(ahead_us > self.spec.max_future_us)
        }

    def homes(self, known: Mapping[str, int], partitions: int, here: int) -> dict[int, int]:
        """Return, by index, the partition of events whose entity is not at home `here`; those `known` are."""
        strangers = set(filterfalse(known.__contains__, self.entity_ids))
        if not strangers:
            return {}
        homes = {entity: partition_of(entity, partitions) for entity in strangers}
        away = {entity: home for entity, home in homes.items() if home != here}
        return {i: away[entity] for i, entity in enumerate(self.entity_ids) if entity in away} if away else {}

    def kept(self, indices: Sequence[int]) -> "Lot":
        """Return the lot of these indices only."""
        return Lot(
            self.contract,
            self.entity_type,
            self.by,
            [self.places[i] for i in indices],
            [self.events[i] for i in indices],
            self.origins,
            self.corrections,
            self.records.chosen(indices),
            [self.event_ids[i] for i in indices],
            [self.entity_ids[i] for i in indices],
            self.times_us[indices],
            self.appends_us[indices],
        )

    def __len__(self) -> int:
        return len(self.places)
