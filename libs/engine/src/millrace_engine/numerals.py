"""Numbers as JSON by the thousand: the text that msgspec gives each of them, by one call for all of an array."""

from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from millrace_engine.layout import Float64s, Int64s
from millrace_engine.texts import Bytes, Texts

INTEGERS_MAX = 2**53
"""From here on a float is not written with all its digits, and not as the integer that it is."""
_ENCODE = msgspec.json.Encoder().encode
_COMMA = ord(",")
_POINT_ZERO = len(".0")


def integers(columns: Int64s) -> Texts:
    """Return integers, [k, n], as texts, [n, k]."""
    return _items(_written(columns), columns.shape)


def floats(values: NDArray[np.float32], whole: Sequence[int]) -> Texts:
    """Return floats, [n, k], as texts; what is not finite is null, columns `whole` are cut to integers."""
    columns = np.ascontiguousarray(values.T, np.float64)
    integral = np.trunc(columns[list(whole)]) + 0.0  # no -0.0
    columns[list(whole)] = integral
    is_finite = np.isfinite(integral)
    if np.any(np.abs(integral[is_finite]) >= INTEGERS_MAX):
        return _items(_one_by_one(columns, whole), columns.shape)
    written = _written(columns)
    texts = _items(written.replace(b"e+", b"e") if b"+" in written else written, columns.shape)
    texts.sizes[:, list(whole)] -= _POINT_ZERO * is_finite.T
    return texts


def _one_by_one(columns: Float64s, whole: Sequence[int]) -> bytes:
    numbers: list[list[float | int | None]] = columns.tolist()
    for place in whole:
        numbers[place] = [int(number) if np.isfinite(number) else None for number in columns[place].tolist()]
    return _ENCODE(list(chain.from_iterable(numbers)))


def _written(numbers: Int64s | Float64s) -> bytes:
    return orjson.dumps(numbers.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _items(array: bytes, shape: tuple[int, ...]) -> Texts:
    """Return the items of a JSON array of numbers and nulls: columns, [k, n], as rows."""
    data: Bytes = np.frombuffer(array, np.uint8)
    commas = np.flatnonzero(data == _COMMA)
    edges = np.concatenate(([0], commas, [len(data) - 1])) if 0 not in shape else np.zeros(1, np.int64)
    return Texts(data, (edges[:-1] + 1).reshape(shape).T, (np.diff(edges) - 1).reshape(shape).T)
