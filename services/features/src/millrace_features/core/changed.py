"""What goes to the online store as columns: a kernel lays it out for Redis, and no object is made for each value."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from millrace_common.slots import ValueColumns
from millrace_engine.jit import bare, leaf
from millrace_engine.texts import Bytes, Texts, put

_LENGTH_BYTES_MAX = 1 + 20 + 2 + 2
"""What else stands in a word: a dollar sign, its length, and the ends of two lines."""
_DOLLAR, _ZERO, _RETURN, _NEWLINE = b"$0\r\n"


@dataclass(slots=True, eq=False)
class Changed(ValueColumns):
    """Values of entities: row i of `records` [n, k] is what `names[i]` has, empty where there is nothing to store.

    `around` [k, 2] is what stands before and after a name in the key of each column.
    """

    around: Texts
    names: Texts
    records: Texts
    _made: dict[str, bytes] = field(default_factory=dict, init=False)

    def words(self) -> tuple[memoryview, memoryview]:
        """Return the keys, and the values, as the arguments of a command stand."""
        n, k = self.records.sizes.shape
        keys_bytes = int(k * self.names.sizes.sum() + n * self.around.sizes.sum())
        room = keys_bytes + int(self.records.sizes.sum()) + 2 * n * k * _LENGTH_BYTES_MAX
        out = np.empty(room, np.uint8)
        middle, end = _lay_words(self.around, self.names, self.records, out)
        return out[:middle].data, out[middle:end].data

    def __len__(self) -> int:
        return int(np.count_nonzero(self.records.sizes))

    def __iter__(self) -> Iterator[str]:
        return iter(self._one_by_one())

    def __getitem__(self, key: str) -> bytes:
        return self._one_by_one()[key]

    def _one_by_one(self) -> dict[str, bytes]:
        if not self._made:
            around, rows = self.around.by_row(), self.records.by_row()
            self._made |= {
                (before + self.names.text(i) + after).decode(): value
                for i, row in enumerate(rows)
                for (before, after), value in zip(around, row, strict=True)
                if value
            }
        return self._made


@bare
def _lay_words(around: Texts, names: Texts, values: Texts, out: Bytes) -> tuple[int, int]:
    """Write the keys of all values that there are, then these; return where the two end."""
    n, k = values.sizes.shape
    at = 0
    for i in range(n):
        for j in range(k):
            if values.sizes[i, j] > 0:
                at = _write_length(out, at, around.sizes[j, 0] + names.sizes[i] + around.sizes[j, 1])
                at = put(out, at, around, around.firsts[j, 0], around.sizes[j, 0])
                at = put(out, at, names, names.firsts[i], names.sizes[i])
                at = _end_line(out, put(out, at, around, around.firsts[j, 1], around.sizes[j, 1]))
    middle = at
    for i in range(n):
        for j in range(k):
            if values.sizes[i, j] > 0:
                at = _write_length(out, at, values.sizes[i, j])
                at = _end_line(out, put(out, at, values, values.firsts[i, j], values.sizes[i, j]))
    return middle, at


@leaf
def _write_length(out: Bytes, at: int, length: int) -> int:
    """Begin a word of so many bytes; return where they are written."""
    out[at] = _DOLLAR
    digits, rest = 1, length // 10
    while rest > 0:
        digits, rest = digits + 1, rest // 10
    for place in range(at + digits, at, -1):
        out[place], length = _ZERO + length % 10, length // 10
    return _end_line(out, at + 1 + digits)


@leaf
def _end_line(out: Bytes, at: int) -> int:
    out[at], out[at + 1] = _RETURN, _NEWLINE
    return at + 2
