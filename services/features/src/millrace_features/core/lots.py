"""Events of one class out of one batch, as columns: everything that is said of all of them is computed at once."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import repeat

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import EventSpec
from millrace_common.columns import Int64s, Records, Slices
from millrace_common.errors import Refused
from millrace_common.ids import event_id_at, label_event_id
from millrace_common.keys import partition_of
from millrace_common.records import Record
from millrace_engine.events import Contract
from millrace_engine.fields import Fields
from millrace_engine.texts import Texts, joined
from millrace_features.core.feeds import Feed
from millrace_features.core.origin import EVENT_ID, Origin

_CANONICAL = msgspec.json.Encoder(order="sorted")


@dataclass(slots=True)
class Found:
    """Where in a batch the events of a class lie, and what is odd about some of them."""

    contract: Contract
    places: list[int] = field(default_factory=list)
    origins: dict[int, Origin] = field(default_factory=dict)
    corrections: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Lot:
    """Events that keep their contract, in log order; at one index of each column stands one event.

    `entity_ids` name what they are about on this topic. By place in the batch `origins` say where copies lay before,
    `corrections` which of them correct an event instead of telling of one.
    """

    spec: EventSpec
    entity_type: str
    places: Sequence[int]
    records: Records
    fields: Fields
    """As they are stored."""
    entity_ids: list[str]
    times_us: Int64s
    origins: Mapping[int, Origin] = field(default_factory=dict)
    corrections: Mapping[int, str] = field(default_factory=dict)
    event_ids: list[str] = field(default_factory=list)
    appends_us: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    """When they first came: of copies the origin's."""
    slots: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Where their entities are in memory, -1 where one is not: when the batch came."""

    @classmethod
    def of(cls, feed: Feed, found: Found, records: Records, types: Set[object] | None = None) -> "Lot":
        """Return the events that were found in the records of a batch; where `types` are given, these say of them.

        Raises one of UNDECODABLE where that is not so, or where one does not keep the contract.
        """
        contract, spec = found.contract, found.contract.spec
        theirs = records if len(found.places) == len(records) else records.chosen(found.places)
        fields = Fields.opened(
            contract, _texts(theirs.values), types=types, take=feed.reads(contract), as_json=feed.by is None
        )
        lot = cls(
            spec,
            feed.entity_type_of(spec),
            found.places,
            theirs,
            fields,
            fields.texts(feed.named_by(contract)),
            np.fromiter(fields[spec.time_field], np.int64, len(theirs)),
            found.origins,
            found.corrections,
        )
        lot.event_ids, lot.appends_us = lot._event_ids(), theirs.append_times_us
        if lot.origins:
            lot.appends_us = lot.appends_us.copy()
            for i, origin in lot._copies():
                lot.appends_us[i] = origin.append_time_us
        return lot

    def _event_ids(self) -> list[str]:
        """Return the ids that events have wherever they lie: stated, kept from where they lay, or made."""
        if self.spec.id_field is not None:
            ids = self.fields.texts([self.spec.id_field])
        else:
            ids = [self._id_of(record, i) for i, record in enumerate(self.records)]
        kept = {i: self.records[i].header(EVENT_ID) for i, _ in self._copies()}
        return [kept.get(i) or id_ for i, id_ in enumerate(ids)] if kept else ids

    def _copies(self) -> list[tuple[int, Origin]]:
        """Return, by index, where copies lay before."""
        if not self.origins:
            return []
        return [(i, self.origins[place]) for i, place in enumerate(self.places) if place in self.origins]

    def _id_of(self, record: Record, i: int) -> str:
        stated = record.header("ce_id") if record.headers else None
        if stated:
            return stated
        if self.spec.refers_to:
            event = self.fields.event(i)
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

    def locate(self, known: Mapping[str, int]) -> None:
        """Note which entities are in memory."""
        self.slots = np.fromiter(map(known.get, self.entity_ids, repeat(-1)), np.int32, len(self))

    def strangers(self) -> list[str]:
        """Return the entities that are not in memory, once each."""
        return list(dict.fromkeys(map(self.entity_ids.__getitem__, np.flatnonzero(self.slots < 0).tolist())))

    def homes(self, partitions: int, here: int) -> dict[int, int]:
        """Return, by index, the partition of events whose entity is not at home `here`; those in memory are."""
        strangers = self.strangers()
        if not strangers:
            return {}
        homes = {entity: partition_of(entity, partitions) for entity in strangers}
        away = {entity: home for entity, home in homes.items() if home != here}
        return {i: away[entity] for i, entity in enumerate(self.entity_ids) if entity in away} if away else {}

    def kept(self, indices: Sequence[int]) -> "Lot":
        """Return the lot of these indices only."""
        return Lot(
            self.spec,
            self.entity_type,
            [self.places[i] for i in indices],
            self.records.chosen(indices),
            self.fields.chosen(indices),
            [self.entity_ids[i] for i in indices],
            self.times_us[indices],
            self.origins,
            self.corrections,
            [self.event_ids[i] for i in indices],
            self.appends_us[indices],
            self.slots[indices],
        )

    def __len__(self) -> int:
        return len(self.places)


def _texts(values: Sequence[bytes | None]) -> Texts:
    """Return values, of which none is missing, as texts: where they lie, if they lie in one."""
    if isinstance(values, Slices):
        return Texts(np.frombuffer(values.data, np.uint8), values.firsts, values.sizes)
    return joined([value or b"" for value in values])
