"""What is published, by partition, packed into whole Kafka batches: all of it before anything is sent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from aiokafka.producer.message_accumulator import BatchBuilder

from millrace_common.bus.framed import HEADER_BYTES, Framed
from millrace_common.errors import Refused
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.records import Bundle, Outgoing, Sheaf

REQUEST_BYTES_MAX = (2 << 20) + 4_096
BATCH_BYTES = 960 << 10
_TOPIC = attrgetter("topic")
_PLACE = attrgetter("topic", "partition")


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records for one partition, in order. `places`: where each stands among all that is published."""

    topic: str
    partition: int
    places: Sequence[int]
    records: Sequence[Outgoing]


@dataclass(frozen=True, slots=True)
class Packed:
    """One Kafka batch, and the places of its records."""

    places: Sequence[int]
    batch: BatchBuilder | Framed


@dataclass(frozen=True, slots=True)
class Positions(Sequence[Position]):
    """Where published records lie; each position is made when it is looked at, which is seldom."""

    parcels: Sequence[Parcel]
    offsets: Sequence[int]
    _homes: dict[int, Parcel] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # a position, or of a slice several
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not self._homes:
            self._homes.update((at, parcel) for parcel in self.parcels for at in parcel.places)
        parcel = self._homes[range(len(self))[place]]
        return Position(topic=parcel.topic, partition=parcel.partition, offset=self.offsets[place])


def topics_of(records: Sequence[Outgoing]) -> set[str]:
    """Return the topics that records are for."""
    if isinstance(records, Bundle):
        return {*map(_TOPIC, records.singles), records.sheaf.topic}
    return set(map(_TOPIC, records))


def parcelled(records: Sequence[Outgoing], partitions: Mapping[str, int]) -> list[Parcel]:
    """Return records by partition, given how many each topic has; runs for one partition are taken whole."""
    if isinstance(records, Bundle) and records.sheaf.partition is not None:
        sheaf, theirs = records.sheaf, range(len(records.singles), len(records))
        return [*parcelled(records.singles, partitions), Parcel(sheaf.topic, records.sheaf.partition, theirs, sheaf)]
    found: dict[tuple[str, int], tuple[list[int], list[Outgoing]]] = {}
    place = 0
    for (topic, partition), run in groupby(records, _PLACE):
        if partition is not None:
            ours = list(run)
            places, held = found.setdefault((topic, partition), ([], []))
            held += ours
            places += range(place, place + len(ours))
            place += len(ours)
            continue
        for record in run:
            at = topic, partition_of(record.key or b"", partitions[topic])
            places, held = found.setdefault(at, ([], []))
            places.append(place)
            held.append(record)
            place += 1
    return [Parcel(*at, places, held) for at, (places, held) in found.items()]


def packed(create: Callable[[], BatchBuilder], parcel: Parcel) -> Iterator[Packed]:
    """Fill whole batches with a parcel's records, in order. Raises Refused for a record that is too large."""
    if isinstance(parcel.records, Sheaf):
        yield from _framed(parcel, parcel.records)
        return
    batch, first = create(), 0
    append = batch.append
    for i, record in enumerate(parcel.records):
        headers = list(record.headers)
        while append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
            yield _sealed(parcel, first, i, batch)
            batch, first = create(), i
            append = batch.append
    yield _sealed(parcel, first, len(parcel.records), batch)


def _framed(parcel: Parcel, sheaf: Sheaf) -> Iterator[Packed]:
    first = 0
    for count, data in sheaf.framed(BATCH_BYTES - HEADER_BYTES, HEADER_BYTES):
        if count == 1:
            refuse_large(sheaf[first])
        yield Packed(parcel.places[first : first + count], Framed(count, data))
        first += count


def refuse_large(record: Outgoing) -> None:
    """Raise Refused for a record that no request takes."""
    size = len(record.value or b"") + len(record.key or b"") + sum(len(k) + len(v) for k, v in record.headers)
    if size > REQUEST_BYTES_MAX:
        raise Refused("too-large", f"a record of {size} bytes for {record.topic}")


def _sealed(parcel: Parcel, first: int, end: int, batch: BatchBuilder) -> Packed:
    """Close a batch; only one that a single record fills can be larger than a request."""
    batch.close()
    if end - first == 1:
        refuse_large(parcel.records[first])
    return Packed(parcel.places[first:end], batch)
