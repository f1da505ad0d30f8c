"""Columns against closures: one definition, the same bits whichever way it is computed."""

import doctest
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, OpName, Scalar
from millrace_engine import columns as columns_module
from millrace_engine import transforms as transforms_module
from millrace_engine.columns import compile_columns
from millrace_engine.expressions import compile_scalar
from millrace_engine.transforms import text_hash

AMOUNT, ITEMS = FieldRef("sale", "amount", "float"), FieldRef("sale", "items", "int")
ONLINE, SHOP, ABSENT = (
    FieldRef("sale", "online", "bool"),
    FieldRef("sale", "shop", "str"),
    FieldRef("sale", "x", "float"),
)
MEAN = FeatureRef("CardSpend", "mean_24h")
WORDS = ("acme", "ajax", "", "müller")
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e308])
LIMITS = st.floats(-1e6, 1e6) | st.integers(-5, 5)
EVENTS = st.fixed_dictionaries(
    {
        "amount": st.none() | FLOATS,
        "items": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
        "online": st.none() | st.booleans(),
        "shop": st.none() | st.sampled_from(WORDS) | st.text(max_size=4),
        "mean": st.none() | FLOATS,
    }
)


def op(name: OpName, *operands: Expr | Scalar) -> Op:
    """Return an operation on expressions and constants."""
    return Op(
        name, tuple(one if isinstance(one, FieldRef | FeatureRef | Const | Op) else Const(one) for one in operands)
    )


def numbers(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Return numbers computed from numbers, and from texts and conditions."""
    rising = st.lists(LIMITS, min_size=1, max_size=4, unique_by=float).map(lambda edges: sorted(edges, key=float))
    both = st.tuples(LIMITS, LIMITS).map(lambda two: sorted(two, key=float))
    arithmetic = st.sampled_from(["add", "sub", "mul", "div", "fill"])
    return st.one_of(
        st.builds(op, arithmetic, inner, inner),
        st.builds(op, st.sampled_from(["neg", "log1p"]), inner),
        st.builds(lambda one, limits: op("clip", one, *limits), inner, both),
        st.builds(op, st.just("scale"), inner, LIMITS, st.floats(1e-3, 1e3)),
        st.builds(lambda one, edges: op("bucketise", one, *edges), inner, rising),
        st.builds(op, st.just("hash_bucket"), TEXTS, st.integers(2, 1 << 24)),
        TEXTS.map(lambda text: op("category", text, *WORDS)),
    )


TEXTS: st.SearchStrategy[Expr] = st.one_of(
    st.just(SHOP),
    st.sampled_from(WORDS).map(Const),
    st.builds(op, st.just("fill"), st.just(SHOP), st.sampled_from(WORDS)),
)
REFERENCES: list[Expr] = [AMOUNT, ITEMS, MEAN, ABSENT]
LEAVES: st.SearchStrategy[Expr] = st.sampled_from(REFERENCES) | st.builds(Const, FLOATS | st.integers(-9, 9))
NUMBERS: st.SearchStrategy[Expr] = st.recursive(LEAVES, numbers, max_leaves=6)
CONDITIONS: st.SearchStrategy[Expr] = st.recursive(
    st.one_of(
        st.just(ONLINE),
        st.builds(op, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), NUMBERS, NUMBERS),
        st.builds(op, st.sampled_from(["eq", "ne"]), TEXTS, TEXTS),
        st.builds(op, st.just("is_missing"), NUMBERS | TEXTS),
    ),
    lambda inner: (
        st.builds(op, st.sampled_from(["and", "or", "eq"]), inner, inner) | inner.map(lambda one: op("not", one))
    ),
    max_leaves=4,
)


def bits(values: Sequence[float]) -> list[bytes]:
    """Return the bytes of 64-bit floats; NaN is one value."""
    return [b"missing" if value != value else struct.pack("<d", value) for value in values]


def number(value: Scalar) -> float:
    """Return what stands in a column for what a closure returns."""
    if value is None:
        return float("nan")
    return text_hash(value) if isinstance(value, str) else float(value)


def in_columns(events: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Return events as columns by name."""
    names = {"amount": "amount", "items": "items", "online": "online", "shop": "shop", "CardSpend.mean_24h": "mean"}
    return {name: [event[key] for event in events] for name, key in names.items()}


@given(NUMBERS | CONDITIONS | TEXTS, st.lists(EVENTS, max_size=6))
def test_columns_have_the_bits_of_closures(expr: Expr, events: list[dict[str, Scalar]]) -> None:
    """For every expression and all events the kernel's floats are the closure's, bit for bit; missing is missing."""
    closure = compile_scalar(expr)
    expected = [number(closure({"CardSpend": {"mean_24h": event["mean"]}}, event)) for event in events]
    found = compile_columns(expr)(in_columns(events), len(events))
    assert found.dtype == np.float64
    assert bits(found.tolist()) == bits(expected)


SMALL = st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 0.5])
EDGES = st.lists(st.integers(-3, 3), min_size=2, max_size=2, unique=True).map(sorted)
AT_EDGES: list[OpName] = ["clip", "bucketise", "lt", "le", "eq", "div", "fill"]


@example("clip", [0, 2], [-0.0])
@given(st.sampled_from(AT_EDGES), EDGES, st.lists(st.none() | SMALL, min_size=1))
def test_columns_and_closures_agree_at_the_edges(name: OpName, edges: list[int], values: list[Scalar]) -> None:
    """A value that is an edge itself, zero of either sign included, falls to the same side both ways."""
    expr = op(name, AMOUNT, *(edges if name in ("clip", "bucketise") else edges[:1]))
    expected = [number(compile_scalar(expr)({}, {"amount": value})) for value in values]
    assert bits(compile_columns(expr)({"amount": values}, len(values)).tolist()) == bits(expected)


def test_the_logarithm_of_many_is_that_of_each() -> None:
    """A thousand values at once, where NumPy would take its wide instructions, have the bits of one at a time."""
    values = np.random.default_rng(5).lognormal(size=1_000).tolist()
    closure = compile_scalar(op("log1p", AMOUNT))
    found = compile_columns(op("log1p", AMOUNT))({"amount": values}, len(values))
    assert bits(found.tolist()) == bits([number(closure({}, {"amount": value})) for value in values])


@pytest.mark.parametrize("expr", [AMOUNT, op("add", AMOUNT, 1), op("eq", SHOP, "acme"), SHOP, op("fill", SHOP, None)])
def test_a_column_that_is_not_there_is_missing(expr: Expr) -> None:
    """Optional fields that no event holds need no column; so it is with no events at all."""
    assert np.isnan(compile_columns(expr)({}, 3)).tolist() == [True, True, True]
    assert compile_columns(expr)({}, 0).shape == (0,)


def test_what_a_batch_holds_is_left_as_it_is() -> None:
    """Kernels write into arrays of their own."""
    columns: dict[str, list[Scalar]] = {"amount": [1.0, None], "shop": ["acme", None]}
    for expr in (AMOUNT, SHOP, op("neg", AMOUNT), op("fill", SHOP, "x")):
        compile_columns(expr)(columns, 2)
    assert columns == {"amount": [1.0, None], "shop": ["acme", None]}


@pytest.mark.parametrize("module", [columns_module, transforms_module])
def test_examples_in_docstrings_hold(module: object) -> None:
    """Every example in a docstring gives what it says."""
    found = doctest.testmod(module)  # type: ignore[arg-type]  # modules are what is given
    assert found.attempted
    assert not found.failed
