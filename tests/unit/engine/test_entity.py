"""Entity plans, tables and groups, and their bytes: what the differential tests do not reach."""

from dataclasses import replace
from statistics import median_low

import pytest
from tests.fakes.customs import Swing
from tests.fakes.features.cards import GROUP, card, paid, stepped, value_of
from tests.fakes.features.deployment import (
    AMOUNT,
    CARD_SPEND,
    CHARGEBACK,
    PAYMENT,
    SECOND,
    SHOP_TAKINGS,
    VISIT,
    deployment,
)
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.stored import digest, opened
from tests.unit.oracles.tables import PARTITION, Driven
from tests.unit.oracles.windows import Past

from millrace.custom import import_path
from millrace.spec import Const, FeatureSpec, FieldRef
from millrace_engine.entity import compile_entity
from millrace_engine.groups import compile_group
from millrace_engine.layout import (
    ALL_TILE_CELLS,
    COLUMNS,
    HOT_ENTRIES,
    IDS_MAX,
    RING,
)


def test_a_plan_holds_the_groups_and_events_of_its_topic() -> None:
    """Own events feed one plan, copies of others' events another; a label's entity is the event it refers to."""
    declared = deployment(CARD_SPEND, SHOP_TAKINGS)
    plans = {
        ("card", False): (["payment", "visit"], [CARD_SPEND.key]),
        ("merchant", True): (["payment"], [SHOP_TAKINGS.key]),
        ("chargeback", False): (["chargeback"], []),
    }
    for (entity_type, copies), (events, groups) in plans.items():
        plan = compile_entity(declared, entity_type, copies=copies)
        assert ([event.type for event in plan.events], list(plan.group_keys)) == (events, groups)


def test_an_applied_offset_changes_nothing() -> None:
    """A replayed event is recognised by its offset alone, before its id is looked at."""
    driven = stepped(card(), 1, 2)
    before = dict(driven.store)
    driven.offset = 1
    assert driven.step([paid(3, "new")]) == [("applied", {})]
    assert driven.store == before


def test_the_same_offset_gives_the_same_bytes_however_batched() -> None:
    """Bytes depend on the entity's own log alone: a state that went through the store between events is no other."""
    straight, halting = stepped(card(), 1, 2, 3), stepped(card(), 1, 2)
    halting.restart()
    halting.step([paid(3, "e2")])
    assert halting.store == straight.store


def test_state_of_another_set_counts_as_never_stored() -> None:
    """A changed definition, or other bounds of an event, make another set: its state is computed from the log."""
    before = stepped(card(), 1)
    declared = deployment(CARD_SPEND, SHOP_TAKINGS)
    later = replace(PAYMENT, lateness_us=PAYMENT.lateness_us + 1)
    changed = compile_entity(replace(declared, events={**declared.events, "payment": later}), "card")
    assert changed.set != before.plan.set
    driven = Driven(changed, store=dict(before.store))
    assert [verdict for verdict, _ in driven.step([paid(1, "e0")])] == ["counted"]
    again = Driven(before.plan, store=dict(before.store), offset=1)
    assert [verdict for verdict, _ in again.step([paid(1, "e0")])] == ["duplicate"]


def test_the_horizon_is_bounded() -> None:
    """At most the last 1,024 ids are remembered: 16 KiB, whatever comes."""
    driven = Driven(compile_entity(deployment(), "chargeback"))

    def seen(event_id: str) -> Logged:
        return Logged("a", Past(event_id, CHARGEBACK.type, 1, {}))

    driven.step([seen(f"e{i}") for i in range(IDS_MAX + 1)])
    assert len(driven.store["a"][0] or b"") < 16 * IDS_MAX + 64
    assert [verdict for verdict, _ in driven.step([seen("e1"), seen("e0")])] == ["duplicate", "counted"]


def test_memory_follows_what_is_held_and_is_used_again() -> None:
    """An arena grows with its entities; what a forgotten one held is given to the next."""
    driven = Driven(card())
    for round_ in range(40):
        batch = [Logged(f"{round_}.{i}", Past(f"{i}", "payment", 1, {"amount": 1.0})) for i in range(100)]
        driven.step(batch)
        driven.evict(100)
        if round_ == 1:
            bytes_before = driven.table.memory_bytes
    assert len(driven.table) == 100
    assert driven.table.memory_bytes == bytes_before


def test_an_event_can_be_taken_back_while_it_is_held_as_it_came() -> None:
    """Afterwards the state is as if it had never counted, but for its id; one that left the ring cannot be."""
    driven, without = stepped(card(), 1, 2, 3), stepped(card(), 1, 3)
    slot = driven.table.slots["a"]
    assert driven.table.retract(slot, 0, digest("e1"))
    assert not driven.table.retract(slot, 0, digest("e1"))
    driven.step([paid(3, "e2")])
    value = value_of(driven)
    at_us = 3 * SECOND + 1
    assert GROUP.read(value, at_us).values == GROUP.read(value_of(without), at_us).values
    many = stepped(card(), *(1 + i / 100 for i in range(RING + 1)))
    assert not many.table.retract(many.table.slots["a"], 0, digest("e0"))


def test_a_value_decays_without_being_written() -> None:
    """Past `fresh_until` the features are computed again: windows empty themselves for an entity that went quiet."""
    value = value_of(stepped(card(), 0, 5))
    counts = [GROUP.read(value, second * SECOND).values["n_7s"] for second in (6, 7, 8, 12, 13)]
    assert counts == [2, 2, 1, 1, 0]


def test_a_reading_says_how_old_it_is_and_what_it_comes_from() -> None:
    """Age in milliseconds since the newest event; the source is that event's place in the log."""
    read = GROUP.read(value_of(stepped(card(), 0, 5)), 8 * SECOND)
    assert (read.status, read.age_ms, read.source) == ("fresh", 3_000, ("raw-data", PARTITION, 1))
    merchant = compile_entity(deployment(CARD_SPEND, SHOP_TAKINGS), "merchant", copies=True)
    copied = compile_group(SHOP_TAKINGS, PAYMENT, copies=True).read(value_of(stepped(merchant, 0)), 1)
    assert copied.source == ("raw-data.by-merchant", PARTITION, 0)


def test_a_reading_says_whether_it_is_exact() -> None:
    """Up to 64 events are held as they came; what left them is known to a tile."""
    few, many = (stepped(card(), *(i / 100 for i in range(n))) for n in (RING, RING + 1))
    assert [GROUP.read(value_of(driven), SECOND).exact for driven in (few, many)] == [True, False]


@pytest.mark.parametrize("n", [RING // 2, 2 * RING])
def test_an_event_of_a_busy_entity_is_stored_by_what_it_changes(n: int) -> None:
    """Header, touched tiles, new entry and id: now and then, where something has no room left, all of it anew."""
    driven = stepped(card(), *(i / 100 for i in range(n)))
    stored_bytes = sum(len(record or b"") for record in driven.store["a"])
    sizes = []
    for i in range(9):
        driven.step([paid((n + i) / 100, f"next{i}")])
        sizes.append(driven.written_bytes)
    assert median_low(sizes) < stored_bytes / 4


def test_what_left_a_ring_is_given_up_when_its_block_is_full() -> None:
    """A busy entity's record grows to a bound and begins again, however long it lives."""
    tiles, columns = card().layout(PARTITION).groups[0, [ALL_TILE_CELLS, COLUMNS]].tolist()
    driven, entries = stepped(card(), *(i / 100 for i in range(RING + 1))), []
    for i in range(4 * RING):
        driven.step([paid(1 + i / 100, f"next{i}")])
        entries.append((opened(value_of(driven), features=len(GROUP.names)).before_cells - tiles) // (2 + columns))
    assert (min(entries), max(entries)) == (1, HOT_ENTRIES - RING)
    assert entries.count(1) >= 3


def test_more_ids_than_a_circle_takes_change_the_whole_circle_and_nothing_else() -> None:
    """Of one type that forgets soon, beside one that remembers many: what is written is what is held."""
    declared = deployment(CARD_SPEND)
    hasty = replace(VISIT, dedupe_us=SECOND)
    plan = compile_entity(replace(declared, events={**declared.events, "visit": hasty}), "card")
    for before in range(8):
        driven = stepped(plan, *(i / 10 for i in range(RING)))
        driven.step([Logged("a", Past(f"v{i}", "visit", (20 + 2 * i) * SECOND, {})) for i in range(before)])
        driven.step([Logged("a", Past(f"w{i}", "visit", (60 + 2 * i) * SECOND, {})) for i in range(20)])
        driven.restart()
        assert driven.step([Logged("a", Past("w19", "visit", 98 * SECOND, {}))]) == [("duplicate", {})]


def test_an_unknown_entity_reads_like_the_first_row_of_a_known_one() -> None:
    """Counts and sums of nothing are 0, the rest is missing: what training saw of an entity's first event."""
    first = Driven(card()).step([paid(1, "e")])[0][1][CARD_SPEND.key]
    read = GROUP.read(None, SECOND)
    assert (read.status, read.age_ms, read.source) == ("missing", None, None)
    without = {name: value for name, value in first.items() if "now" not in name}
    assert {name: value for name, value in read.values.items() if "now" not in name} == without
    assert GROUP.read(None, SECOND, current={"amount": 1.0}).values == first


def test_a_request_counts_its_own_event_where_a_feature_includes_it() -> None:
    """`include_current` means the event asked about, in a row as in a request."""
    driven = stepped(card(), 0, 5)
    asked = GROUP.read(value_of(driven), 6 * SECOND, current={"amount": 9.0})
    row = driven.step([paid(6, "e", 9.0)])[0][1][CARD_SPEND.key]
    assert asked.values == row


def test_a_time_before_what_is_kept_is_stale() -> None:
    """Where the past has been cut a value cannot say what it was, and says so."""
    value = value_of(stepped(card(), 0, 100))
    edge = 100 * SECOND - PAYMENT.lateness_us
    assert [GROUP.read(value, at).status for at in (edge - 1, edge)] == ["stale", "fresh"]


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (FeatureSpec("x", "sum", None, SECOND), "CardSpend.x: sum needs an argument"),
        (FeatureSpec("x", "sum", AMOUNT, None), "CardSpend.x: sum needs a window"),
        (FeatureSpec("x", "rate", None, None, events=3), "CardSpend.x: rate needs a window"),
        (FeatureSpec("x", "last", AMOUNT, None, n=65), "CardSpend.x: last looks at 64 events at most"),
        (FeatureSpec("x", "last", FieldRef("payment", "card", "str"), None), "last of text is not supported"),
        (FeatureSpec("x", "max", Const("a"), SECOND), "max of text is not supported"),
    ],
)
def test_a_feature_that_cannot_be_computed_is_refused(feature: FeatureSpec, said: str) -> None:
    """Compiling names the group, the feature and what is wrong."""
    with pytest.raises(ValueError, match=said):
        compile_group(replace(CARD_SPEND, features=(feature,)), PAYMENT)


def test_what_float32_cannot_hold_is_missing() -> None:
    """A value too large for the model's numbers is missing, in rows and in the store alike."""
    group = replace(CARD_SPEND, features=(FeatureSpec("x", "sum", AMOUNT, SECOND),))
    driven = Driven(compile_entity(deployment(group), "card"))
    driven.step([paid(0, "a", 3e38), paid(0, "b", 3e38)])
    assert driven.step([paid(0.5, "c")])[0][1] == {group.key: {"x": None}}


def test_a_teams_own_aggregate_runs_in_rings_and_tiles() -> None:
    """Its verbs are called for raw events and for those that left the ring, in rows and in readings."""
    swing = FeatureSpec("swing", "custom", AMOUNT, 100 * SECOND, custom=import_path(Swing))
    group = replace(CARD_SPEND, features=(swing,))
    driven = Driven(compile_entity(deployment(group), "card"))
    amounts = [float(i * 7 % 101) for i in range(3 * RING)]
    rows = driven.step([paid(i / 10, f"e{i}", amount) for i, amount in enumerate(amounts)])
    for i, (_, row) in enumerate(rows):
        assert row[group.key]["swing"] == (Swing.oracle(amounts[:i]) if i else None)
    read = compile_group(group, PAYMENT).read(value_of(driven), 20 * SECOND)
    assert read.values == {"swing": Swing.oracle(amounts)}
