"""What is published, by partition, packed into whole Kafka batches: all of it before anything is sent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from aiokafka.producer.message_accumulator import BatchBuilder

from millrace_common.errors import Refused
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.records import Outgoing

REQUEST_BYTES_MAX = (2 << 20) + 4_096
_PLACE = attrgetter("topic", "partition")


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records for one partition, in order. `places`: where each stands among all that is published."""

    topic: str
    partition: int
    places: list[int] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Packed:
    """One Kafka batch, and the places of its records."""

    places: Sequence[int]
    batch: BatchBuilder


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


def parcelled(records: Sequence[Outgoing], partitions: Mapping[str, int]) -> list[Parcel]:
    """Return records by partition, given how many each topic has; runs for one partition are taken whole."""
    parcels: dict[tuple[str, int], Parcel] = {}
    place = 0

    def parcel(topic: str, partition: int) -> Parcel:
        return parcels.setdefault((topic, partition), Parcel(topic, partition))

    for (topic, partition), run in groupby(records, _PLACE):
        first = place
        if partition is not None:
            parcel(topic, partition).records.extend(run)
            place = first + len(parcels[topic, partition].records) - len(parcels[topic, partition].places)
            parcels[topic, partition].places.extend(range(first, place))
            continue
        for record in run:
            home = parcel(topic, partition_of(record.key or b"", partitions[topic]))
            home.places.append(place)
            home.records.append(record)
            place += 1
    return list(parcels.values())


def packed(create: Callable[[], BatchBuilder], parcel: Parcel) -> Iterator[Packed]:
    """Fill whole batches with a parcel's records, in order. Raises Refused for a record that is too large."""
    batch, first = create(), 0
    append = batch.append
    for i, record in enumerate(parcel.records):
        headers = list(record.headers)
        while append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
            yield _sealed(parcel, first, i, batch)
            batch, first = create(), i
            append = batch.append
    yield _sealed(parcel, first, len(parcel.records), batch)


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
