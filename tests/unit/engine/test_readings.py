"""Many values in one call: each says what it says alone."""

import pytest
from tests.fakes.features.deployment import CARD_SPEND, PAYMENT, SECOND, SHOP_TAKINGS, deployment
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.tables import Driven
from tests.unit.oracles.windows import Past

from millrace.spec import Scalar
from millrace_engine.entity import compile_entity
from millrace_engine.groups import GroupReader, Unreadable, compile_group

GROUPS = (compile_group(CARD_SPEND, PAYMENT), compile_group(SHOP_TAKINGS, PAYMENT, copies=True))
EVENTS: list[dict[str, Scalar]] = [{"amount": 7.5}, {"amount": None}, {"amount": 2.0}]


def stored(entity_type: str, *seconds: float) -> bytes:
    """Return the value of an entity with payments at these seconds."""
    copies = entity_type == "merchant"
    driven = Driven(compile_entity(deployment(CARD_SPEND, SHOP_TAKINGS), entity_type, copies=copies))
    driven.step(
        [Logged("a", Past(f"e{i}", "payment", int(at * SECOND), {"amount": 1.0 + i})) for i, at in enumerate(seconds)]
    )
    value = driven.store["a"][1]
    assert value is not None
    return value


@pytest.mark.parametrize("currents", [None, EVENTS])
def test_values_of_several_groups_and_entities_are_read_as_each_alone(currents: list[dict[str, Scalar]] | None) -> None:
    """Whatever lies beside it: other groups, other times, tiles, other events, or nothing at all."""
    cards = [stored("card", 0, 5), None, stored("card", *(i / 10 for i in range(100)))]
    shops = [stored("merchant", 4), stored("merchant", 0, 1, 2, 3), None]
    times_us = [6 * SECOND, 2 * SECOND, 11 * SECOND]
    values = [value for pair in zip(cards, shops, strict=True) for value in pair]
    found = GroupReader.of(GROUPS).read(values, times_us, currents)
    assert found == [
        [
            group.read(value, at_us, current=None if currents is None else currents[i])
            for group, value in zip(GROUPS, (cards[i], shops[i]), strict=True)
        ]
        for i, at_us in enumerate(times_us)
    ]
    assert {one.status for row in found for one in row if not isinstance(one, Unreadable)} == {"fresh", "missing"}


def test_what_cannot_be_read_leaves_the_others_as_they_are() -> None:
    """A value cut short, of an odd length or of another format stands as Unreadable between values that are whole."""
    card, shop = stored("card", 0, 5), stored("merchant", 4)
    for broken in (b"", card[:-1], card[:-8], b"\x01" + card[1:], shop):
        found = GroupReader.of(GROUPS).read([card, shop, broken, shop, card, shop], [6 * SECOND] * 3)
        assert [isinstance(row[0], Unreadable) for row in found] == [False, True, False]
        whole = [group.read(value, 6 * SECOND) for group, value in zip(GROUPS, (card, shop), strict=True)]
        assert found[0] == found[2] == whole
        assert found[1][1] == whole[1]


def test_nothing_is_asked_of_nobody() -> None:
    """No cases, no answers."""
    assert GroupReader.of(GROUPS).read([], []) == []
