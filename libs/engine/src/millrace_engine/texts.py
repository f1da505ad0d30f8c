"""Columns of texts: what a library wrote at once is cut into texts, and columns are laid side by side, row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from millrace_engine.jit import kernel
from millrace_engine.layout import Int64s

Bytes = NDArray[np.uint8]
_memcpy: Any = cgutils.raw_memcpy
_COMMA, _NEWLINE = ord(","), ord("\n")


class Texts(NamedTuple):
    """Text i is `data[firsts[i] : firsts[i] + sizes[i]]`, in UTF-8. [n], or [n, k]: k texts in each row."""

    data: Bytes
    firsts: Int64s
    sizes: Int64s

    def text(self, i: int) -> bytes:
        """Return the text of a row."""
        return self.data[self.firsts[i] : self.firsts[i] + self.sizes[i]].tobytes()

    def rows(self, k: int) -> "Texts":
        """Return k columns, given one behind the other, as rows."""
        return Texts(self.data, self.firsts.reshape(k, -1).T, self.sizes.reshape(k, -1).T)


def joined(texts: Sequence[bytes]) -> Texts:
    """Return texts."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    return Texts(np.frombuffer(b"".join(texts), np.uint8), np.cumsum(sizes) - sizes, sizes)


def even(data: bytes | Bytes, n: int) -> Texts:
    """Return n texts of one size, given end to end."""
    found = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.ravel()
    size = len(found) // n
    return Texts(found, np.arange(n) * size, np.full(n, size))


def lines(data: bytes) -> Texts:
    """Return what stands before each newline."""
    return _parted(np.frombuffer(data, np.uint8), 0, _NEWLINE)


def items(array: bytes) -> Texts:
    """Return the items of a JSON array of numbers and nulls."""
    return _parted(np.frombuffer(array.replace(b"]", b","), np.uint8), 1, _COMMA)


def _parted(data: Bytes, first: int, by: int) -> Texts:
    ends = np.flatnonzero(data == by)
    firsts = np.empty_like(ends)
    firsts[:1], firsts[1:] = first, ends[:-1] + 1
    return Texts(data, firsts, ends - firsts)


def laid(between: Sequence[bytes], *columns: Texts) -> Texts:
    """Return for each row the texts of all columns; `between[i]` stands before the i-th, the last one at the end."""
    n, at, firsts, sizes = len(columns[0].firsts), 0, [], []
    for column in columns:
        firsts.append(column.firsts.reshape(n, -1) + at)
        sizes.append(column.sizes.reshape(n, -1))
        at += len(column.data)
    varying = Texts(
        np.concatenate([column.data for column in columns]), np.concatenate(firsts, 1), np.concatenate(sizes, 1)
    )
    constant = joined(between)
    total = varying.sizes.sum(axis=1) + len(constant.data)
    ends = np.cumsum(total)
    data = np.empty(int(total.sum()), np.uint8)
    _lay(constant, varying, data)
    return Texts(data, ends - total, total)


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


@kernel
def _lay(constant: Texts, varying: Texts, out: Bytes) -> None:
    rows, columns = varying.firsts.shape
    at = 0
    for i in range(rows):
        for place in range(columns + 1):
            at = put(out, at, constant, constant.firsts[place], constant.sizes[place])
            if place < columns:
                at = put(out, at, varying, varying.firsts[i, place], varying.sizes[i, place])


@kernel
def put(out: Bytes, at: int, texts: Texts, first: int, size: int) -> int:
    """Copy a text to a place; return the place behind it."""
    copy_bytes(out, at, texts.data, first, size)
    return at + size
