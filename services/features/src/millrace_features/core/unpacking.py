"""What Kafka sends as columns: a kernel finds keys and values in a batch, and no object is made for a record."""

import numpy as np
from numpy.typing import NDArray

from millrace_common.columns import Slices, Unpacked
from millrace_engine.jit import bare, leaf
from millrace_engine.texts import Bytes

_COLUMNS = 6
"""Of each record: how far its offset and its time are behind the batch's, where key and value begin, their sizes."""
_NUMBER_BYTES_MAX = 9
"""The tenth would have the sign of what fits in none of ours."""
_BYTES_MIN = 7
"""Of a record: its length, attributes, time, offset, sizes and how many headers it has."""


def unpacked(data: bytes, where: slice, count: int) -> Unpacked | None:
    """Return the records that lie in `data`; None where one has headers, or where it is not as Kafka writes them.

    Source: the record format 2 of Kafka's documentation of messages.
    """
    if not 0 <= count * _BYTES_MIN <= where.stop - where.start:
        return None
    found = np.empty((_COLUMNS, count), np.int64)
    if not _find(np.frombuffer(data, np.uint8), where.start, where.stop, found):
        return None
    offsets, times, keys, key_sizes, values, value_sizes = found
    return Unpacked(offsets, times, Slices(data, keys, key_sizes), Slices(data, values, value_sizes))


@bare
def _find(data: Bytes, first: int, end: int, found: NDArray[np.int64]) -> bool:
    """Note where all is; say whether all of it was seen, and nothing else."""
    at = first
    for i in range(found.shape[1]):
        length, at = _number(data, at, end)
        stop = at + length
        if length < 0 or stop > end:
            return False
        found[1, i], at = _number(data, at + 1, stop)
        found[0, i], at = _number(data, at, stop)
        for column in range(2, _COLUMNS, 2):
            size, at = _number(data, at, stop)
            if size < -1 or size > stop - at:
                return False
            found[column, i], found[column + 1, i] = at, size
            at += max(size, 0)
        headers, at = _number(data, at, stop)
        if headers != 0 or at != stop:
            return False
    return at == end


@leaf
def _number(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a number as Kafka writes it, and return the place behind it: past `end` where there is none."""
    bits = shift = 0
    for place in range(at, min(end, at + _NUMBER_BYTES_MAX)):
        bits |= (data[place] & 0x7F) << shift
        shift += 7
        if data[place] < 0x80:
            return (bits >> 1) ^ -(bits & 1), place + 1
    return 0, end + 1
