"""A team's own aggregates in machine code: the bits of their verbs in Python, on any cells of an array."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import customs
from tests.fakes.customs import Alternating, Swing, Texts

from millrace.custom import CustomAggregate, disagreement, import_path
from millrace_engine.customs import (
    NotCompiled,
    compile_custom,
    custom_finalize,
    custom_merge,
    custom_prepare,
    custom_update,
)

VALUES = st.lists(st.floats(-1e9, 1e9), max_size=8)
PARTS = st.lists(VALUES, min_size=1, max_size=4)


def in_python(aggregate: type[CustomAggregate], parts: list[list[float]]) -> float:
    """Return what the verbs make of values in several partials, as plain Python."""
    whole = [0.0] * aggregate.cells
    aggregate.prepare(whole)
    for values in parts:
        part = [0.0] * aggregate.cells
        aggregate.prepare(part)
        for value in values:
            aggregate.update(part, value)
        aggregate.merge(whole, part)
    return aggregate.finalize(whole)


@pytest.mark.parametrize("aggregate", [Swing, Alternating])
def test_verbs_agree_with_their_oracle(aggregate: type[CustomAggregate]) -> None:
    """The aggregates that these tests use are right themselves."""
    assert disagreement(aggregate) is None


@pytest.mark.parametrize("aggregate", [Swing, Alternating])
@given(parts=PARTS, at=st.integers(0, 3))
def test_machine_code_has_the_bits_of_the_verbs(
    aggregate: type[CustomAggregate], parts: list[list[float]], at: int
) -> None:
    """Each verb changes its own cells, wherever they lie, as it does in Python, and no others."""
    custom = compile_custom(import_path(aggregate))
    whole, part = np.full(8, 7.0), np.full(8, 7.0)
    custom_prepare(custom.prepare, whole, at)
    for values in parts:
        custom_prepare(custom.prepare, part, 5)
        for value in values:
            custom_update(custom.update, part, 5, value)
        custom_merge(custom.merge, whole, at, part, 5)
    found = custom_finalize(custom.finalize, whole, at)
    np.testing.assert_array_equal(found, in_python(aggregate, parts))
    assert np.delete(whole, range(at, at + custom.cells)).tolist() == [7.0] * (8 - custom.cells)
    assert np.delete(part, range(5, 5 + custom.cells)).tolist() == [7.0] * (8 - custom.cells)


def test_a_class_is_compiled_once() -> None:
    """Addresses stay as long as the process."""
    assert compile_custom(import_path(Swing)) is compile_custom(import_path(Swing))


def test_what_is_no_machine_code_is_named() -> None:
    """A verb that cannot be compiled is told by its name, before any event is taken."""
    with pytest.raises(NotCompiled, match=r"customs:Texts\.update is no machine code: .*'eval'") as caught:
        compile_custom(import_path(Texts))
    text = inspect.getsource(customs).splitlines()
    assert "eval(" in text[caught.value.line - 1]


def test_what_is_no_aggregate_is_refused() -> None:
    """An import path that names anything else is an error that says so."""
    with pytest.raises(TypeError, match="is no CustomAggregate"):
        compile_custom("collections:OrderedDict")
