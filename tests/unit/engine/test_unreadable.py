"""Stored bytes that are not ours, or not whole: nothing is read of them and nothing is loaded."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from tests.fakes.features.cards import GROUP, card, paid, stepped, value_of
from tests.fakes.features.deployment import AMOUNT, CARD_SPEND, SECOND, deployment
from tests.unit.oracles.tables import PARTITION, Driven

from millrace.spec import AggregateOp, FeatureSpec
from millrace_engine.entity import compile_entity
from millrace_engine.groups import Group, Unreadable
from millrace_engine.layout import COLUMNS, HEADER_CELLS, RING, TILE_CELLS, VECTOR_CELLS
from millrace_engine.partials import PARTIAL


@pytest.mark.parametrize("data", [b"", b"{}", b"\xf5\x09" + b"\0" * 200])
def test_bytes_of_another_format_are_unreadable(data: bytes) -> None:
    """A reader never guesses."""
    with pytest.raises(Unreadable):
        GROUP.read(data, 0)


@pytest.mark.parametrize("place", [0, 1])
def test_a_stored_state_that_was_cut_short_or_is_of_another_format_is_unreadable(place: int) -> None:
    """A record must be as long as it says; nothing is loaded of one that is not."""
    driven = stepped(card(), 0, 5)
    whole = driven.store["a"][place]
    assert whole is not None
    longer = whole[:20] + struct.pack("<I", 9) + whole[24:] if place else whole[:32] + bytes([9]) + whole[33:]
    for broken in (whole[:-1], whole[:-8], b"\x01" + whole[1:], longer):
        driven.store["a"][place] = broken
        driven.restart()
        with pytest.raises(Unreadable):
            driven.step([paid(6, "e")])
        if place:
            with pytest.raises(Unreadable):
                GROUP.read(broken, 20 * SECOND)


@pytest.mark.parametrize(
    ("op", "place", "wrong"),
    [("distinct", 0, 10**6), ("distinct", 0, -2), ("quantile", 0, 1 << 40), ("quantile", 0, -1), ("quantile", 1, 130)],
)
def test_a_sketch_larger_than_its_cells_is_unreadable(op: AggregateOp, place: int, wrong: int) -> None:
    """Kernels check no bounds: a number in a tile that none of ours wrote is found before it is followed."""
    group = replace(CARD_SPEND, features=(FeatureSpec("x", op, AMOUNT, 30 * SECOND, q=0.5),))
    plan = compile_entity(deployment(group), "card")
    driven, layout = stepped(plan, *(i / 100 for i in range(2 * RING))), plan.layout(PARTITION)
    value = np.frombuffer(driven.store["a"][1] or b"", np.int64).copy()
    first = HEADER_CELLS + layout.groups[0, VECTOR_CELLS] + layout.features[0, PARTIAL]
    assert plan.groups[0].read(value.tobytes(), 2 * SECOND).status == "fresh"
    value[first + layout.windows[0, TILE_CELLS] + place] = wrong
    hold_unreadable(driven, plan.groups[0], value.tobytes())


def test_a_ring_larger_than_any_of_ours_is_unreadable() -> None:
    """A value of the length it says it has is not enough: what takes it in memory has room for 64 events."""
    driven = stepped(card(), 0, 5)
    value, columns = value_of(driven), card().layout(PARTITION).groups[0, COLUMNS]
    entry = value[-8 * (2 + columns) :]
    hold_unreadable(driven, GROUP, value[:20] + struct.pack("<I", RING + 1) + value[24:] + entry * (RING - 1))


def hold_unreadable(driven: Driven, group: Group, value: bytes) -> None:
    """Assert that neither a reader nor a writer takes a value."""
    with pytest.raises(Unreadable, match="cut short"):
        group.read(value, 2 * SECOND)
    driven.store["a"][1] = value
    driven.restart()
    with pytest.raises(Unreadable, match="cut short"):
        driven.step([paid(6, "e")])
