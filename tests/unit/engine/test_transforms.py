"""Transforms: what each comes to, written out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.spec import Const, Op, OpName, Scalar
from millrace_engine.columns import compile_columns
from millrace_engine.expressions import compile_scalar
from millrace_engine.transforms import text_hash

CASES: list[tuple[OpName, tuple[Scalar, ...], Scalar]] = [
    ("log1p", (0.0,), 0.0),
    ("log1p", (math.e - 1,), 1.0),
    ("log1p", (-1.0,), None),
    ("log1p", (-5,), None),
    ("clip", (5.5, 0, 5), 5),
    ("clip", (-1, 0, 5), 0),
    ("clip", (2, 0, 5), 2),
    ("scale", (7, 5.0, 4.0), 0.5),
    ("scale", (1e308, -1e308, 0.5), None),
    ("bucketise", (9.9, 10, 100), 0),
    ("bucketise", (10, 10, 100), 1),
    ("bucketise", (99, 10, 100), 1),
    ("bucketise", (1e300, 10, 100), 2),
    ("category", ("a", "a", "b"), 1),
    ("category", ("b", "a", "b"), 2),
    ("category", ("B", "a", "b"), 0),
    ("category", ("", "a", "b"), 0),
    ("is_missing", (None,), True),
    ("is_missing", (0,), False),
    ("is_missing", ("",), False),
    ("hash_bucket", ("acme", 1024), 4561090576280292 % 1024),
]


def both(name: OpName, operands: tuple[Scalar, ...]) -> tuple[Scalar, float]:
    """Return an operation on constants as the closure and as the kernel compute it."""
    expr = Op(name, tuple(Const(operand) for operand in operands))
    return compile_scalar(expr)({}, {}), compile_columns(expr)({}, 1).item()


@pytest.mark.parametrize(("name", "operands", "expected"), CASES)
def test_each_transform(name: OpName, operands: tuple[Scalar, ...], expected: Scalar) -> None:
    """Each transform means what its name says, for one and for many."""
    one, many = both(name, operands)
    assert one == expected
    assert math.isnan(many) if expected is None else many == expected


@pytest.mark.parametrize(("name", "operands", "expected"), [case for case in CASES if case[0] != "is_missing"])
def test_of_something_missing_it_is_missing(name: OpName, operands: tuple[Scalar, ...], expected: Scalar) -> None:
    """No transform invents a value, a code for what is missing included; `fill` says what to take."""
    one, many = both(name, (None, *operands[1:]))
    assert one is None
    assert math.isnan(many)


@given(st.text(), st.integers(2, 1 << 24))
def test_a_bucket_is_one_of_n(text: str, n: int) -> None:
    """Every text has a whole bucket below n, and a hash that a 64-bit float holds exactly."""
    bucket, _ = both("hash_bucket", (text, n))
    assert isinstance(bucket, float)
    assert bucket.is_integer()
    assert 0 <= bucket < n
    assert text_hash(text).is_integer()
    assert 0 <= text_hash(text) < 2**53


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_texts_have_different_hashes(texts: list[str]) -> None:
    """Among 53 bits no two texts of a test meet."""
    assert text_hash(texts[0]) != text_hash(texts[1])


def test_a_value_added_at_the_end_moves_no_code() -> None:
    """The codes of a category stay when a value is appended, the code of the unknown too."""
    for text in ("a", "b", "z"):
        assert both("category", (text, "a", "b")) == both("category", (text, "a", "b", "c"))
