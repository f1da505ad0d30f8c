"""Records of one partition as columns: there is no object for a record until somebody looks at it alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from millrace_common.records import Headers, Record, TopicPartition

Int64s = NDArray[np.int64]
_OFFSET, _KEY, _VALUE = attrgetter("offset"), attrgetter("key"), attrgetter("value")
_HEADERS, _APPENDED = attrgetter("headers"), attrgetter("append_time_us")


@dataclass(frozen=True, slots=True, eq=False)
class Slices(Sequence[bytes | None]):
    """Byte strings that lie in one: the i-th is `data[firsts[i] : firsts[i] + sizes[i]]`, None where its size is -1.

    Each is made when it is looked at.
    """

    data: bytes
    firsts: Int64s
    sizes: Int64s

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> "Slices": ...
    def __getitem__(self, index: int | slice) -> "bytes | Slices | None":
        """Return one, or those of a slice."""
        if isinstance(index, slice):
            return Slices(self.data, self.firsts[index], self.sizes[index])
        first, size = int(self.firsts[index]), int(self.sizes[index])
        return None if size < 0 else self.data[first : first + size]

    def __iter__(self) -> Iterator[bytes | None]:
        """Iterate over them."""
        there = map(slice, self.firsts.tolist(), (self.firsts + self.sizes).tolist())
        found = map(self.data.__getitem__, there)
        if not len(self) or self.sizes.min() >= 0:
            return found
        return (one if size >= 0 else None for one, size in zip(found, self.sizes.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.firsts)


@dataclass(frozen=True, slots=True)
class NoHeaders(Sequence[Headers]):
    """The headers of so many records, of which none has any."""

    n: int

    @overload
    def __getitem__(self, index: int) -> Headers: ...
    @overload
    def __getitem__(self, index: slice) -> "NoHeaders": ...
    def __getitem__(self, index: int | slice) -> "Headers | NoHeaders":
        """Return those of one, or of a slice."""
        chosen = range(self.n)[index]
        return NoHeaders(len(chosen)) if isinstance(chosen, range) else ()

    def __iter__(self) -> Iterator[Headers]:
        """Iterate over them."""
        return repeat((), self.n)

    def __len__(self) -> int:
        return self.n


class Unpacked(NamedTuple):
    """The records of a batch of Kafka's log, none of which has headers; offsets and times behind those of the batch."""

    offset_deltas: Int64s
    time_deltas_ms: Int64s
    keys: Slices
    values: Slices


Unpack = Callable[[bytes, slice, int], Unpacked | None]
"""Takes bytes, where in them so many records lie in Kafka's format 2; None: that takes a closer look."""


def chained(parts: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    """Return the byte strings of all parts, of which none is empty, in their order."""
    slices = [part for part in parts if isinstance(part, Slices)]
    if len(slices) < len(parts):
        return list(chain.from_iterable(parts))
    data, sizes = slices[0].data, np.concatenate([one.sizes for one in slices])
    if all(one.data is data for one in slices):
        return Slices(data, np.concatenate([one.firsts for one in slices]), sizes)
    held = [one.data[one.firsts.min() : (one.firsts + one.sizes).max()] for one in slices]
    starts = np.cumsum([0, *map(len, held)])
    firsts = [one.firsts - one.firsts.min() + start for one, start in zip(slices, starts, strict=False)]
    return Slices(b"".join(held), np.concatenate(firsts), sizes)


def _headers(parts: Sequence[Sequence[Headers]]) -> Sequence[Headers]:
    if all(isinstance(part, NoHeaders) for part in parts):
        return NoHeaders(sum(map(len, parts)))
    return list(chain.from_iterable(parts))


def sizes_of(column: Sequence[bytes | None]) -> Int64s:
    """Return the size of each byte string, -1 for one that is not there."""
    if isinstance(column, Slices):
        return column.sizes
    return np.fromiter((-1 if one is None else len(one) for one in column), np.int64, len(column))


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sequence[Record]):
    """Records in order; at one index of each column stands one record."""

    at: TopicPartition
    offsets: Int64s
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    append_times_us: Int64s

    @classmethod
    def of(cls, at: TopicPartition, records: Sequence[Record]) -> "Records":
        """Return records of a partition as columns."""
        if isinstance(records, Records):
            return records
        n = len(records)
        return cls(
            at,
            np.fromiter(map(_OFFSET, records), np.int64, n),
            list(map(_KEY, records)),
            list(map(_VALUE, records)),
            list(map(_HEADERS, records)),
            np.fromiter(map(_APPENDED, records), np.int64, n),
        )

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """Return the records of all parts, of which there is one, in their order."""
        held = [part for part in parts if part]
        if len(held) < 2:
            return (held or parts)[0]
        return cls(
            held[0].at,
            np.concatenate([part.offsets for part in held]),
            chained([part.keys for part in held]),
            chained([part.values for part in held]),
            _headers([part.headers for part in held]),
            np.concatenate([part.append_times_us for part in held]),
        )

    def since(self, offset: int) -> "Records":
        """Return the records from an offset on."""
        first = int(np.searchsorted(self.offsets, offset))
        return self[first:] if first else self

    def chosen(self, indices: Sequence[int]) -> "Records":
        """Return the records of these indices only."""
        return Records(
            self.at,
            self.offsets[indices],
            list(map(self.keys.__getitem__, indices)),
            list(map(self.values.__getitem__, indices)),
            list(map(self.headers.__getitem__, indices)),
            self.append_times_us[indices],
        )

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Record | Records":
        """Return one record, or those of a slice."""
        if isinstance(index, slice):
            return Records(
                self.at,
                self.offsets[index],
                self.keys[index],
                self.values[index],
                self.headers[index],
                self.append_times_us[index],
            )
        return Record(
            self.at.topic,
            self.at.partition,
            int(self.offsets[index]),
            self.keys[index],
            self.values[index],
            self.headers[index],
            int(self.append_times_us[index]),
        )

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records."""
        return map(
            Record,
            repeat(self.at.topic),
            repeat(self.at.partition),
            self.offsets.tolist(),
            self.keys,
            self.values,
            self.headers,
            self.append_times_us.tolist(),
        )

    def __len__(self) -> int:
        return len(self.keys)
