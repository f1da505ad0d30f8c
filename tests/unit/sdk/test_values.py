"""The small things that everything stands on: examples in docstrings, hashes, keys, and values on an instance."""

import doctest
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import Event, Field, catalog, durations, entity, event_time, events, hashing, keys, wording
from millrace.checks import models
from millrace.hashing import content_hash
from millrace.spec import Const, FieldSpec


@pytest.mark.parametrize("module", [catalog, durations, events, hashing, keys, models, wording])
def test_examples_in_docstrings_hold(module: object) -> None:
    """Every example in a docstring gives what it says."""
    found = doctest.testmod(module)  # type: ignore[arg-type]  # modules are what is given
    assert found.attempted
    assert not found.failed


class Sale(Event):
    """A sale."""

    shop: Field[str] = entity()
    amount: Field[float | None]
    ts: Field[datetime] = event_time()


def test_an_instance_holds_values_and_its_class_expressions() -> None:
    """On an instance a field is the value, absent fields are None, and an unknown one is an error."""
    at = datetime(2024, 5, 1, tzinfo=UTC)
    sale = Sale(shop="a", ts=at)
    assert (sale.shop, sale.amount, sale.ts) == ("a", None, at)
    assert Sale.shop is Sale.__declared__.fields["shop"]
    with pytest.raises(TypeError, match="Sale has no field price"):
        Sale(shop="a", price=1)


def test_hashes_tell_kinds_apart() -> None:
    """Values that are equal in Python but mean different things have different hashes."""
    values: list[object] = [1, 1.0, True, "1", None, Const(1), Const(True), ("1",), FieldSpec("a", "int"), {"a": 1}]
    assert len({content_hash(value) for value in values}) == len(values)


PARTS = st.lists(st.text() | st.integers(), min_size=2, max_size=3)


@given(PARTS, PARTS)
def test_no_two_compound_entities_share_a_key(one: list[str | int], other: list[str | int]) -> None:
    """The text of a compound key tells its parts and their kinds apart."""
    assert (keys.key_text(tuple(one)) == keys.key_text(tuple(other))) is (one == other)


@given(st.integers(0, 36_525 * 86_400_000))
def test_a_duration_shown_is_the_duration_meant(ms: int) -> None:
    """Every whole millisecond of a hundred years can be shown and read again."""
    assert durations.microseconds(durations.text(ms * 1_000)) == ms * 1_000
