"""Feature rows as columns: a kernel lays them out for Kafka; a record is made only where one is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_common.records import Headers, Outgoing, Sheaf
from millrace_engine.jit import borrowed, kernel
from millrace_engine.texts import Bytes, Texts, laid, put

VARINT_BYTES_MAX = 5
FRAME_BYTES_MAX = 2 + 4 * VARINT_BYTES_MAX
"""What else stands in a record: attributes, time, and the varints of its length, its place, key's and value's size."""


class Columns(NamedTuple):
    """What a record is made of: `told` are its headers as Kafka lays them out, their number first."""

    keys: Texts
    values: Texts
    told: Texts


@dataclass(frozen=True, slots=True, eq=False)
class Rows(Sheaf):
    """Rows of one lot, in log order. `headers`: the constant ones, then those with a text for each row."""

    topic: str
    partition: int | None
    keys: Texts
    values: Texts
    constant: Headers
    varying: tuple[tuple[str, Texts], ...]
    cause_offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cause_offsets)

    def record(self, i: int) -> Outgoing:
        """Return one of the rows as a record by itself."""
        varying = tuple((name, texts.text(i)) for name, texts in self.varying)
        key, value, offset = self.keys.text(i), self.values.text(i), int(self.cause_offsets[i])
        return Outgoing(self.topic, key, value, (*self.constant, *varying), self.partition, offset)

    def framed(self, bytes_max: int) -> Iterator[tuple[int, memoryview]]:
        """Yield how many rows follow, and their bytes in Kafka's record format 2; at least one row at a time."""
        columns, first = Columns(self.keys, self.values, self._told()), 0
        sizes = columns.keys.sizes + columns.values.sizes + columns.told.sizes + FRAME_BYTES_MAX
        out = np.empty(min(int(sizes.sum()), max(bytes_max, int(sizes.max()))), np.uint8)
        while first < len(self):
            end, size = frame(columns, first, out[: max(bytes_max, int(sizes[first]))])
            yield end - first, out[:size].data
            first = end

    def _told(self) -> Texts:
        """Return the headers of each row as Kafka lays them out."""
        between = [varint(len(self.constant) + len(self.varying))]
        between[0] += b"".join(_sized(name.encode()) + _sized(value) for name, value in self.constant)
        for name, texts in self.varying:
            (size,) = set(texts.sizes.tolist())
            between[-1] += _sized(name.encode()) + varint(size)
            between.append(b"")
        return laid(between, *(texts for _, texts in self.varying))


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


def _sized(text: bytes) -> bytes:
    return varint(len(text)) + text


@kernel
def frame(columns: Columns, first: int, out: Bytes) -> tuple[int, int]:
    """Lay records from `first` on out as a batch of their own; return the first without room, and the bytes used."""
    keys, values, told, out = columns.keys, columns.values, columns.told, borrowed(out)
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


@kernel
def _width(number: int) -> int:
    """Return how many bytes `varint` takes."""
    rest, width = number << 1, 1
    while rest > 0x7F:
        rest, width = rest >> 7, width + 1
    return width


@kernel
def _write(out: Bytes, at: int, number: int) -> int:
    """Write a number as `varint` does; return the place behind it."""
    rest = number << 1
    while rest > 0x7F:
        out[at] = rest & 0x7F | 0x80
        rest, at = rest >> 7, at + 1
    out[at] = rest
    return at + 1
