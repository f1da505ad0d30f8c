"""What goes to the topic of rows as columns: a kernel lays it out for Kafka, and no object is made for each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_common.records import Headers, Outgoing, Sheaf
from millrace_engine.jit import bare, leaf
from millrace_engine.texts import Bytes, Texts, even, joined, put, together

VARINT_BYTES_MAX = 5
FRAME_BYTES_MAX = 2 + 4 * VARINT_BYTES_MAX
"""What else stands in a record: attributes, time, and the varints of its length, its place, key's and value's size."""


class Columns(NamedTuple):
    """What a record is made of: `told` are its headers as Kafka lays them out, their number first."""

    keys: Texts
    values: Texts
    told: Texts


@dataclass(frozen=True, slots=True, eq=False)
class Laid(Sheaf):
    """Records for one topic and partition, in log order; without a partition the keys decide."""

    topic: str
    partition: int | None
    columns: Columns
    cause_offsets: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[Outgoing], partition: int | None) -> "Laid":
        """Return records, of which there is one, that have keys, values and causes."""
        told = [_laid_out(record.headers) for record in records]
        columns = ([record.key or b"" for record in records], [record.value or b"" for record in records], told)
        causes = np.array([record.cause_offset for record in records], np.int64)
        return cls(records[0].topic, partition, Columns(*map(joined, columns)), causes)

    def __len__(self) -> int:
        return len(self.cause_offsets)

    def record(self, i: int) -> Outgoing:
        """Return one of the records by itself."""
        key, value, told = (texts.text(i) for texts in self.columns)
        return Outgoing(self.topic, key, value, _read(told), self.partition, int(self.cause_offsets[i]))

    def framed(self, bytes_max: int) -> Iterator[tuple[int, memoryview]]:
        """Yield how many records follow, and their bytes in Kafka's record format 2; at least one record at a time."""
        columns, first = self.columns, 0
        sizes = columns.keys.sizes + columns.values.sizes + columns.told.sizes + FRAME_BYTES_MAX
        out = np.empty(min(int(sizes.sum()), max(bytes_max, int(sizes.max()))), np.uint8)
        while first < len(self):
            end, size = frame(columns, first, out[: max(bytes_max, int(sizes[first]))])
            yield end - first, out[:size].data
            first = end


def merged(parts: Sequence[tuple[Sequence[int], Laid]]) -> Laid:
    """Return sheaves for one partition as one, in the order of the places of their records."""
    order = np.argsort(np.concatenate([places for places, _ in parts]), kind="stable")
    columns = Columns(*(together(each, order) for each in zip(*(sheaf.columns for _, sheaf in parts), strict=True)))
    causes = np.concatenate([sheaf.cause_offsets for _, sheaf in parts])[order]
    return Laid(parts[0][1].topic, parts[0][1].partition, columns, causes)


@dataclass(frozen=True, slots=True)
class HeaderForm:
    """The headers of many records as Kafka lays them out, with room for those that differ from record to record."""

    _form: Bytes
    _rooms: tuple[slice, ...]

    @classmethod
    def of(cls, constant: Headers, varying: Sequence[tuple[str, int]]) -> "HeaderForm":
        """Return the form, given the name and the size of each header that differs."""
        form, rooms = varint(len(constant) + len(varying)) + _pairs(constant), []
        for name, size in varying:
            form += _sized(name.encode()) + varint(size)
            rooms.append(slice(len(form), len(form) + size))
            form += bytes(size)
        return cls(np.frombuffer(form, np.uint8), tuple(rooms))

    def filled(self, *columns: Bytes) -> Texts:
        """Return the headers of records, given those that differ: [n, size] each."""
        rows = np.empty((len(columns[0]), len(self._form)), np.uint8)
        rows[:] = self._form
        for room, column in zip(self._rooms, columns, strict=True):
            rows[:, room] = column
        return even(rows)


def varint(number: int) -> bytes:
    """Return a number that is not negative as Kafka writes it: zigzag, seven bits to a byte, the least first.

    >>> varint(1), varint(300)
    (b'\\x02', b'\\xd8\\x04')
    """
    rest, found = number << 1, bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*found, rest))


def _laid_out(said: Headers) -> bytes:
    return varint(len(said)) + _pairs(said)


def _pairs(said: Headers) -> bytes:
    return b"".join(_sized(name.encode()) + _sized(value) for name, value in said)


def _sized(text: bytes) -> bytes:
    return varint(len(text)) + text


def _read(told: bytes) -> Headers:
    """Return the headers that were laid out."""
    at = 0

    def number() -> int:
        nonlocal at
        found = shift = 0
        while told[at] > 0x7F:
            found, shift, at = found | (told[at] & 0x7F) << shift, shift + 7, at + 1
        found, at = found | told[at] << shift, at + 1
        return found >> 1

    def text() -> bytes:
        nonlocal at
        size = number()
        at += size
        return told[at - size : at]

    return tuple((text().decode(), text()) for _ in range(number()))


@bare
def frame(columns: Columns, first: int, out: Bytes) -> tuple[int, int]:
    """Lay records from `first` on out as a batch of their own; return the first without room, and the bytes used."""
    keys, values, told = columns
    at = 0
    for i in range(first, len(keys.firsts)):
        body = 2 + _width(i - first) + _width(keys.sizes[i]) + _width(values.sizes[i])
        body += keys.sizes[i] + values.sizes[i] + told.sizes[i]
        if at + _width(body) + body > len(out):
            return i, at
        at = _write(out, at, body)
        out[at] = out[at + 1] = 0
        at = _write(out, at + 2, i - first)
        at = put(out, _write(out, at, keys.sizes[i]), keys, keys.firsts[i], keys.sizes[i])
        at = put(out, _write(out, at, values.sizes[i]), values, values.firsts[i], values.sizes[i])
        at = put(out, at, told, told.firsts[i], told.sizes[i])
    return len(keys.firsts), at


@leaf
def _width(number: int) -> int:
    """Return how many bytes `varint` takes."""
    rest, width = number << 1, 1
    while rest > 0x7F:
        rest, width = rest >> 7, width + 1
    return width


@leaf
def _write(out: Bytes, at: int, number: int) -> int:
    """Write a number as `varint` does; return the place behind it."""
    rest = number << 1
    while rest > 0x7F:
        out[at] = rest & 0x7F | 0x80
        rest, at = rest >> 7, at + 1
    out[at] = rest
    return at + 1
