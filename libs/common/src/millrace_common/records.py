"""What lies on a topic and what is sent to one: bytes with a place."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of a topic, by its logical name."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read. `append_time_us` is the broker's.

    A struct, as Outgoing is: there is one of each for every event, and a frozen dataclass takes seven times as long.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    append_time_us: int

    @property
    def size_bytes(self) -> int:
        """Return the bytes of its key, value and headers."""
        return len(self.key or b"") + len(self.value or b"") + sum(len(k) + len(v) for k, v in self.headers)

    def header(self, name: str) -> str | None:
        """Return the last header of that name as text, as CloudEvents reads them; None where there is none."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "replace")
        return None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, handed over together."""

    at: TopicPartition
    records: Sequence[Record]

    @property
    def end(self) -> int:
        """Return the offset that follows the batch."""
        return self.records[-1].offset + 1


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to send. Without `partition` the key's murmur2 decides.

    `cause_offset` is the source offset it was made from: the runner does not publish again what was made from offsets
    below the one that was committed when the partition was assigned (R8).
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    cause_offset: int | None = None


class Sheaf(Sequence[Outgoing]):
    """Many records for one topic and partition, in order, held as columns; one by one they are made when asked for."""

    __slots__ = ()
    topic: str
    partition: int | None

    @abstractmethod
    def record(self, i: int) -> Outgoing:
        """Return one of the records."""

    @abstractmethod
    def framed(self, bytes_max: int, headroom: int) -> Iterator[tuple[int, memoryview]]:
        """Yield how many records follow, and `headroom` bytes with theirs in Kafka's record format 2 behind them.

        They take `bytes_max` at most, but for a record that takes more by itself.
        """

    def __iter__(self) -> Iterator[Outgoing]:
        return map(self.record, range(len(self)))

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # a record, or of a slice several
        if isinstance(place, slice):
            return [self.record(i) for i in range(*place.indices(len(self)))]
        return self.record(range(len(self))[place])


@dataclass(frozen=True, slots=True)
class Bundle(Sequence[Outgoing]):
    """Records one by one, and a sheaf of others for another topic."""

    singles: Sequence[Outgoing]
    sheaf: Sheaf

    def __len__(self) -> int:
        return len(self.singles) + len(self.sheaf)

    def __iter__(self) -> Iterator[Outgoing]:
        return chain(self.singles, self.sheaf)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # a record, or of a slice several
        return list(self)[place]
