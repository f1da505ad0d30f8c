"""Expressions: what they come to, and what missing does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, Scalar
from millrace_engine.expressions import compile_scalar

AMOUNT = FieldRef("transaction", "amount", "float")
MEAN = FeatureRef("CardSpend", "mean_24h")
BINARY = ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "and", "or")


def value_of(name: str, *operands: Scalar) -> Scalar:
    """Return an operation on constants."""
    return compile_scalar(Op(name, tuple(Const(operand) for operand in operands)))({}, {})  # type: ignore[arg-type]  # names of the table


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("add", (1, 2.5), 3.5),
        ("sub", (1, 2.5), -1.5),
        ("mul", (4, 2.5), 10.0),
        ("div", (5, 2), 2.5),
        ("neg", (5,), -5),
        ("eq", ("nsw", "nsw"), True),
        ("ne", ("nsw", "vic"), True),
        ("lt", (1, 1), False),
        ("le", (1, 1), True),
        ("gt", (2, 1.5), True),
        ("ge", (1, 1.5), False),
        ("and", (True, False), False),
        ("or", (True, False), True),
        ("not", (False,), True),
        ("fill", (None, 1.0), 1.0),
        ("fill", (0, 1.0), 0),
    ],
)
def test_each_operation(name: str, operands: tuple[Scalar, ...], expected: Scalar) -> None:
    """Each operation means what its name says."""
    assert value_of(name, *operands) == expected


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("operands", [(None, 1), (1, None), (None, None)])
def test_a_missing_operand_gives_missing(name: str, operands: tuple[Scalar, Scalar]) -> None:
    """Every operation on something missing is missing, `or` with true and `ne` included."""
    assert value_of(name, *operands) is None


@pytest.mark.parametrize("name", ["neg", "not"])
def test_a_missing_operand_of_one_gives_missing(name: str) -> None:
    """Negation and `not` of something missing are missing."""
    assert value_of(name, None) is None


@pytest.mark.parametrize(
    ("name", "operands"), [("div", (1, 0)), ("div", (0.0, 0.0)), ("mul", (1e308, 10)), ("div", (10**300, 1e-300))]
)
def test_no_number_is_missing(name: str, operands: tuple[Scalar, Scalar]) -> None:
    """Division by zero and numbers beyond 64-bit floats are missing, never infinite."""
    assert value_of(name, *operands) is None


@given(st.sampled_from(BINARY[:4]), st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1))
def test_arithmetic_is_finite_or_missing(name: str, left: float, right: int) -> None:
    """No two numbers give NaN or infinity."""
    value = value_of(name, left, right)
    assert value is None or (isinstance(value, float) and math.isfinite(value))


def test_fields_and_features_are_looked_up_by_name() -> None:
    """A field comes from the event, a feature from its group's values; what is not there is missing."""
    ratio: Expr = Op("div", (AMOUNT, Op("fill", (MEAN, Const(1.0)))))
    evaluate = compile_scalar(ratio)
    assert evaluate({"CardSpend": {"mean_24h": 4.0}}, {"amount": 10.0}) == 2.5
    assert evaluate({"CardSpend": {"mean_24h": None}}, {"amount": 10.0}) == 10.0
    assert evaluate({}, {"amount": 10.0}) == 10.0
    assert evaluate({}, {}) is None
