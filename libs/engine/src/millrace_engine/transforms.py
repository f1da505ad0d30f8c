"""Transforms that a model needs, each defined once: for one value, and for a whole column with the same bits.

A column of numbers is float64 with NaN for missing; a column of text is a list with None. What a transform makes of
something missing is missing: the single form is never given it, the column form passes it on.
"""

import bisect
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from millrace.spec import OpName, Scalar

Numbers = NDArray[np.float64]
Texts = Sequence[str | None]
MISSING = math.nan


class NumberTransform(NamedTuple):
    """A transform of a number: of one, which is missing where it is None, and of a column."""

    one: Callable[[float], float | None]
    column: Callable[[Numbers], Numbers]


class TextTransform(NamedTuple):
    """A transform of a text into a code. A column is computed once for each different text."""

    one: Callable[[str], float]

    def column(self, texts: Texts) -> Numbers:
        """Return the codes of a column."""
        codes: dict[str | None, float] = {text: self.one(text) for text in set(texts) if text is not None}
        codes[None] = MISSING
        return np.array([codes[text] for text in texts], dtype=np.float64)


def text_hash(text: str) -> float:
    """Return 53 bits of a text as a whole number: the first of BLAKE2b-64 of its UTF-8, little-endian.

    >>> text_hash("acme"), text_hash("")
    (4561090576280292.0, 6357716315075604.0)
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11)


def finite(values: Numbers) -> Numbers:
    """Return a column in which what is beyond 64-bit floats is missing."""
    return np.where(np.isfinite(values), values, MISSING)


def _log1p(_: Sequence[float]) -> NumberTransform:
    def one(value: float) -> float | None:
        return math.log1p(value) if value > -1.0 else None

    def column(values: Numbers) -> Numbers:
        # NumPy's own differs in the last bit from the C library's on machines with wide vectors.
        logs = [math.log1p(value) if value > -1.0 else MISSING for value in values.tolist()]
        return np.array(logs, dtype=np.float64)

    return NumberTransform(one, column)


def _clip(constants: Sequence[float]) -> NumberTransform:
    low, high = constants

    def one(value: float) -> float:
        return low if value < low else high if value > high else value

    def column(values: Numbers) -> Numbers:
        return np.where(values < low, low, np.where(values > high, high, values))

    return NumberTransform(one, column)


def _scale(constants: Sequence[float]) -> NumberTransform:
    mean, std = constants

    def one(value: float) -> float | None:
        scaled = (value - mean) / std
        return scaled if math.isfinite(scaled) else None

    def column(values: Numbers) -> Numbers:
        return finite((values - mean) / std)

    return NumberTransform(one, column)


def _bucketise(constants: Sequence[float]) -> NumberTransform:
    edges = np.array(constants, dtype=np.float64)

    def one(value: float) -> float:
        return float(bisect.bisect_right(constants, value))

    def column(values: Numbers) -> Numbers:
        places = np.searchsorted(edges, values, side="right").astype(np.float64)
        return np.where(np.isnan(values), MISSING, places)

    return NumberTransform(one, column)


def _hash_bucket(constants: Sequence[Scalar]) -> TextTransform:
    n = cast(int, constants[0])
    return TextTransform(lambda text: float(int(text_hash(text)) % n))


def _category(constants: Sequence[Scalar]) -> TextTransform:
    places = {value: float(place) for place, value in enumerate(constants, start=1)}
    return TextTransform(lambda text: places.get(text, 0.0))


OF_NUMBERS: Mapping[OpName, Callable[[Sequence[float]], NumberTransform]] = {
    "log1p": _log1p,
    "clip": _clip,
    "scale": _scale,
    "bucketise": _bucketise,
}
OF_TEXTS: Mapping[OpName, Callable[[Sequence[Scalar]], TextTransform]] = {
    "hash_bucket": _hash_bucket,
    "category": _category,
}


def number_transform(name: OpName, constants: Sequence[Scalar]) -> NumberTransform:
    """Return a transform of numbers with its constants."""
    return OF_NUMBERS[name]([float(value) for value in constants if value is not None])


def text_transform(name: OpName, constants: Sequence[Scalar]) -> TextTransform:
    """Return a transform of text with its constants."""
    return OF_TEXTS[name](constants)
