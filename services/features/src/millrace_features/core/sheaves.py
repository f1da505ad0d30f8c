"""What goes to the topic of rows as columns: a kernel lays it out for Kafka, and no object is made for each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_common.records import Headers, Outgoing, Sheaf
from millrace_engine.jit import bare, leaf
from millrace_engine.texts import Bytes, Texts, Woven, concatenated, joined, laid, put, put_woven, woven

_WHOLE = joined([b"", b""])
"""What stands around texts that are in one piece."""


class Columns(NamedTuple):
    """What a record is made of: `told` are its headers as Kafka lays them out, their number first."""

    keys: Texts
    values: Woven
    told: Woven


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
        keys, values = [record.key or b"" for record in records], [record.value or b"" for record in records]
        columns = Columns(joined(keys), woven(_WHOLE, joined(values)), woven(_WHOLE, joined(told)))
        causes = np.array([record.cause_offset for record in records], np.int64)
        return cls(records[0].topic, partition, columns, causes)

    def __len__(self) -> int:
        return len(self.cause_offsets)

    def record(self, i: int) -> Outgoing:
        """Return one of the records by itself."""
        key, value, told = (texts.text(i) for texts in self.columns)
        return Outgoing(self.topic, key, value, _read(told), self.partition, int(self.cause_offsets[i]))

    def framed(self, bytes_max: int, headroom: int) -> Iterator[tuple[int, memoryview]]:
        """Yield how many records follow, and `headroom` bytes with theirs in Kafka's record format 2 behind them."""
        first = 0
        while first < len(self):
            end, size = measure(self.columns, first, bytes_max)
            data = np.empty(headroom + size, np.uint8)
            frame(self.columns, first, end, data[headroom:])
            yield end - first, data.data
            first = end


def merged(parts: Sequence[tuple[Sequence[int], Laid]]) -> Laid:
    """Return sheaves for one partition as one, in the order of the places of their records."""
    order = np.argsort(np.concatenate([places for places, _ in parts]), kind="stable")
    keys, values, told = zip(*(sheaf.columns for _, sheaf in parts), strict=True)
    whole = [woven(_WHOLE, concatenated(list(map(laid, each)), order)) for each in (values, told)]
    causes = np.concatenate([sheaf.cause_offsets for _, sheaf in parts])[order]
    return Laid(parts[0][1].topic, parts[0][1].partition, Columns(concatenated(keys, order), *whole), causes)


def told_between(constant: Headers, varying: Sequence[tuple[str, int]]) -> Texts:
    """Return what stands in laid out headers around those that differ, given the name and the size of each of these."""
    pieces = [varint(len(constant) + len(varying)) + _pairs(constant)]
    for name, size in varying:
        pieces[-1] += _sized(name.encode()) + varint(size)
        pieces.append(b"")
    return joined(pieces)


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
def measure(columns: Columns, first: int, bytes_max: int) -> tuple[int, int]:
    """Return the first record without room in a batch from `first` on, which takes one at least, and its bytes."""
    used = 0
    for i in range(first, len(columns.keys.sizes)):
        body = _body(columns, i, i - first)
        if used > 0 and used + _width(body) + body > bytes_max:
            return i, used
        used += _width(body) + body
    return len(columns.keys.sizes), used


@bare
def frame(columns: Columns, first: int, end: int, out: Bytes) -> None:
    """Lay the records [first, end) out as a batch of their own."""
    keys, values, told = columns
    at = 0
    for i in range(first, end):
        at = _write(out, at, _body(columns, i, i - first))
        out[at] = out[at + 1] = 0
        at = _write(out, at + 2, i - first)
        at = put(out, _write(out, at, keys.sizes[i]), keys, keys.firsts[i], keys.sizes[i])
        at = put_woven(out, _write(out, at, values.sizes[i]), values, i)
        at = put_woven(out, at, told, i)


@leaf
def _body(columns: Columns, i: int, place: int) -> int:
    """Return the bytes of a record behind its length: attributes, time, its place, and what it holds."""
    key, value = columns.keys.sizes[i], columns.values.sizes[i]
    body: int = 2 + _width(place) + _width(key) + key + _width(value) + value + columns.told.sizes[i]
    return body


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
