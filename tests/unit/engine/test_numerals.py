"""Numbers written by the thousand against msgspec, one by one."""

import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from millrace_engine.numerals import floats, integers
from millrace_engine.texts import Texts

encode = msgspec.json.encode
numbers = st.floats(width=32) | st.integers(-(2**24), 2**24).map(float)


def alone(number: float, *, whole: bool) -> bytes:
    """Return a number as msgspec writes it; a whole one as the integer that it is."""
    if not math.isfinite(number):
        return b"null"
    return encode(int(number) if whole else number)


def written(texts: Texts) -> list[list[bytes]]:
    """Return texts row by row."""
    return [
        [texts.data[first : first + size].tobytes() for first, size in zip(*row, strict=True)]
        for row in zip(texts.firsts, texts.sizes, strict=True)
    ]


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(numbers, min_size=k, max_size=k), min_size=1)), st.data())
def test_floats_are_written_as_alone(rows: list[list[float]], data: st.DataObject) -> None:
    """Those of whole columns without their fraction."""
    values = np.array(rows, np.float32)
    whole = data.draw(st.sets(st.sampled_from(range(values.shape[1]))))
    assert written(floats(values, sorted(whole))) == [
        [alone(number, whole=place in whole) for place, number in enumerate(row)] for row in values.tolist()
    ]


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3), min_size=1))
def test_integers_are_written_as_alone(rows: list[list[int]]) -> None:
    """Each of them."""
    columns = np.array(rows, np.int64).T
    assert written(integers(columns)) == [[encode(number) for number in row] for row in rows]


def test_no_feature_is_no_text() -> None:
    """Of events that no feature is computed from."""
    assert written(floats(np.empty((2, 0), np.float32), ())) == [[], []]
