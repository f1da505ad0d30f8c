"""Columns of texts: what a library wrote at once is cut into texts, and columns are laid side by side, row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from millrace_engine.jit import bare, leaf
from millrace_engine.layout import Int64s

Bytes = NDArray[np.uint8]
_memcpy: Any = cgutils.raw_memcpy
_TIME = b"0000-00-00T00:00:00.000000Z"
NEWLINE = ord("\n")
_ESCAPE = b"\\"
_LINES = msgspec.json.Encoder().encode_lines


class Texts(NamedTuple):
    """Text i is `data[firsts[i] : firsts[i] + sizes[i]]`, in UTF-8. [n], or [n, k]: k texts in each row."""

    data: Bytes
    firsts: Int64s
    sizes: Int64s

    def text(self, i: int) -> bytes:
        """Return the text of a row."""
        return self.data[self.firsts[i] : self.firsts[i] + self.sizes[i]].tobytes()

    def part(self, rows: slice | Sequence[int]) -> "Texts":
        """Return some of the rows."""
        return Texts(self.data, self.firsts[rows], self.sizes[rows])

    def by(self, k: int) -> "Texts":
        """Return texts, given row by row, as rows of k."""
        return Texts(self.data, self.firsts.reshape(-1, k), self.sizes.reshape(-1, k))

    def by_row(self) -> list[list[bytes]]:
        """Return the texts of each row, of which each has k."""
        data, ends = self.data.tobytes(), self.firsts + self.sizes
        return [
            [data[first:end] for first, end in zip(*row, strict=True)]
            for row in zip(self.firsts.tolist(), ends.tolist(), strict=True)
        ]


class Woven(NamedTuple):
    """Texts in pieces: row i of `varying` [n, k], with text j of `between` [k + 1] before its j-th, the last behind.

    `sizes` [n] are those of the whole texts.
    """

    between: Texts
    varying: Texts
    sizes: Int64s

    def text(self, i: int) -> bytes:
        """Return the text of a row."""
        one = slice(i, i + 1)
        return laid(Woven(self.between, self.varying.part(one), self.sizes[one])).text(0)


def joined(texts: Sequence[bytes]) -> Texts:
    """Return texts."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    return Texts(np.frombuffer(b"".join(texts), np.uint8), np.cumsum(sizes) - sizes, sizes)


def encoded(texts: Sequence[str]) -> Texts:
    """Return texts in UTF-8."""
    data, sizes = "".join(texts).encode(), np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(sizes)
    if len(texts) and ends[-1] != len(data):  # there is more than ASCII
        return joined(list(map(str.encode, texts)))
    return Texts(np.frombuffer(data, np.uint8), ends - sizes, sizes)


def strings(texts: Sequence[str]) -> tuple[Texts, Texts]:
    """Return texts in UTF-8, and as JSON; where nothing is escaped they lie between the quotes of these."""
    data = _LINES(texts)
    quoted = lines(data)
    if _ESCAPE in data:
        return encoded(texts), quoted
    return Texts(quoted.data, quoted.firsts + 1, quoted.sizes - 2), quoted


def concatenated(parts: Sequence[Texts], order: NDArray[np.intp]) -> Texts:
    """Return the texts of several columns, one behind the other, in this order."""
    starts = np.cumsum([0, *(len(part.data) for part in parts)])
    firsts = np.concatenate([part.firsts + start for part, start in zip(parts, starts, strict=False)])
    sizes = np.concatenate([part.sizes for part in parts])
    return Texts(np.concatenate([part.data for part in parts]), firsts[order], sizes[order])


def even(rows: Bytes) -> Texts:
    """Return texts of one size, [n, size]."""
    n, size = rows.shape
    return Texts(rows.ravel(), np.arange(0, n * size, size), np.full(n, size))


def lines(data: bytes) -> Texts:
    """Return what stands before each newline."""
    array = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(array == NEWLINE)
    firsts = np.empty_like(ends)
    firsts[:1], firsts[1:] = 0, ends[:-1] + 1
    return Texts(array, firsts, ends - firsts)


def times(times_us: Int64s) -> Bytes:
    """Return times as RFC 3339 writes them, of the years 1 to 9999, to the microsecond and in UTC: [n, 27]."""
    text = np.empty((len(times_us), len(_TIME)), np.uint8)
    text[:] = np.frombuffer(_TIME, np.uint8)
    _write_times(times_us, text)
    return text


def woven(between: Texts, *columns: Texts) -> Woven:
    """Return for each row the texts of all columns; text i of `between` stands before the i-th, its last at the end."""
    n, widths = len(columns[0].firsts), [column.firsts.size for column in columns]
    firsts = np.empty((n, sum(widths) // n), np.int64)
    sizes = np.empty_like(firsts)
    at = place = 0
    for column, width in zip(columns, widths, strict=True):
        there = slice(place, place + width // n)
        np.add(column.firsts.reshape(n, -1), at, out=firsts[:, there])
        sizes[:, there] = column.sizes.reshape(n, -1)
        at, place = at + len(column.data), there.stop
    data = columns[0].data if len(columns) == 1 else np.concatenate([column.data for column in columns])
    return Woven(between, Texts(data, firsts, sizes), sizes.sum(axis=1) + len(between.data))


def laid(texts: Woven) -> Texts:
    """Return texts each in one piece."""
    data = np.empty(int(texts.sizes.sum()), np.uint8)
    _lay(texts, data)
    return Texts(data, np.cumsum(texts.sizes) - texts.sizes, texts.sizes)


def _copied(_typing: Any, to: Any, at: Any, source: Any, first: Any, size: Any) -> Any:
    """Return how to copy bytes between arrays that do not overlap, unchecked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        views = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2)]
        places = [builder.gep(view.data, [arguments[i]]) for view, i in zip(views, (1, 3), strict=True)]
        _memcpy(builder, *places, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), generate


copy_bytes = cast(Any, intrinsic(_copied))
"""Copy `size` bytes of `source` from `first` on to place `at` of another array."""


@bare
def _lay(texts: Woven, out: Bytes) -> None:
    at = 0
    for i in range(len(texts.sizes)):
        at = put_woven(out, at, texts, i)


@leaf
def put_woven(out: Bytes, at: int, texts: Woven, i: int) -> int:
    """Lay a text out at a place; return the place behind it."""
    between, varying, _ = texts
    columns: int = varying.firsts.shape[1]
    for j in range(columns):
        at = put(out, at, between, between.firsts[j], between.sizes[j])
        at = put(out, at, varying, varying.firsts[i, j], varying.sizes[i, j])
    return put(out, at, between, between.firsts[columns], between.sizes[columns])


@leaf
def put(out: Bytes, at: int, texts: Texts, first: int, size: int) -> int:
    """Copy a text to a place; return the place behind it."""
    copy_bytes(out, at, texts.data, first, size)
    return at + size


@bare
def _write_times(times_us: Int64s, out: Bytes) -> None:
    """Days since 0000-03-01 give the date: Hinnant, "chrono-Compatible Low-Level Date Algorithms" (civil_from_days)."""
    for i in range(len(times_us)):
        seconds, micros = times_us[i] // 1_000_000, times_us[i] % 1_000_000
        days = seconds // 86_400 + 719_468
        era, day_of_era = days // 146_097, days % 146_097
        year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
        day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
        month = (5 * day_of_year + 2) // 153
        day = day_of_year - (153 * month + 2) // 5 + 1
        month += 3 if month < 10 else -9
        _digits(out[i], 4, year_of_era + era * 400 + (month <= 2))
        _digits(out[i], 7, month)
        _digits(out[i], 10, day)
        _digits(out[i], 13, seconds // 3_600 % 24)
        _digits(out[i], 16, seconds // 60 % 60)
        _digits(out[i], 19, seconds % 60)
        _digits(out[i], 26, micros)


@leaf
def _digits(out: Bytes, end: int, number: int) -> None:
    """Add a number to the zeros before a place."""
    while number > 0:
        end -= 1
        out[end] += number % 10
        number //= 10
