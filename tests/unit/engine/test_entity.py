"""Entity plans, groups and their bytes: what the differential tests do not reach."""

from dataclasses import dataclass, replace

import pytest
from tests.fakes.features.deployment import AMOUNT, CARD_SPEND, CHARGEBACK, PAYMENT, SECOND, SHOP_TAKINGS, deployment

from millrace.spec import Const, EventSpec, FeatureSpec, FieldRef, Scalar
from millrace_engine import horizon
from millrace_engine.entity import EntityPlan, EntityState, compile_entity
from millrace_engine.groups import Unreadable, compile_group
from millrace_engine.horizon import IDS_MAX

GROUP = compile_group(CARD_SPEND)


@dataclass(frozen=True)
class Happened:
    """An event, as a step sees it."""

    time_us: int
    fields: dict[str, Scalar]
    spec: EventSpec = PAYMENT


def stepped(plan: EntityPlan, *times: int) -> EntityState:
    """Return the state after payments of 1.0 at these seconds."""
    state = plan.empty()
    for offset, second in enumerate(times):
        plan.step(state, Happened(second * SECOND, {"amount": 1.0}), f"e{offset}", offset, append_time_us=7)
    return state


def card() -> EntityPlan:
    """Return the plan of cards."""
    return compile_entity(deployment(CARD_SPEND, SHOP_TAKINGS), "card")


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
    plan = card()
    state = stepped(plan, 1, 2)
    before = plan.encode(state, partition=0)
    assert plan.step(state, Happened(3 * SECOND, {"amount": 1.0}), "new", 1).verdict == "applied"
    assert plan.encode(state, partition=0) == before


def test_the_same_offset_gives_the_same_bytes_however_batched() -> None:
    """Bytes depend on the entity's own log alone: a state that went through the store between events is no other."""
    plan = card()
    straight, halting = stepped(plan, 1, 2, 3), stepped(plan, 1, 2)
    encoded = plan.encode(halting, partition=0)
    halting = plan.decode(encoded.values, encoded.horizon)
    plan.step(halting, Happened(3 * SECOND, {"amount": 1.0}), "e2", 2, append_time_us=7)
    assert plan.encode(halting, partition=0) == plan.encode(straight, partition=0)


def test_state_of_another_set_counts_as_never_stored() -> None:
    """A changed definition, or other bounds of an event, make another set: its state is computed from the log."""
    plan = card()
    encoded = plan.encode(stepped(plan, 1), partition=0)
    declared = deployment(CARD_SPEND, SHOP_TAKINGS)
    later = replace(PAYMENT, lateness_us=PAYMENT.lateness_us + 1)
    changed = compile_entity(replace(declared, events={**declared.events, "payment": later}), "card")
    assert changed.set != plan.set
    assert changed.decode(encoded.values, encoded.horizon) == changed.empty()
    assert plan.decode(encoded.values, encoded.horizon).offset == 0


def test_the_horizon_is_bounded() -> None:
    """At most the last 1,024 ids are remembered: 16 KiB, whatever comes."""
    plan = compile_entity(deployment(), "chargeback")
    state = plan.empty()
    for offset in range(IDS_MAX + 1):
        plan.step(state, Happened(1, {}, CHARGEBACK), f"e{offset}", offset)
    assert len(plan.encode(state, partition=0).horizon) < 16 * IDS_MAX + 64
    assert plan.step(state, Happened(1, {}, CHARGEBACK), "e1", 5_000).verdict == "duplicate"
    assert plan.step(state, Happened(1, {}, CHARGEBACK), "e0", 5_001).verdict == "counted"


def test_a_value_decays_without_being_written() -> None:
    """Past `fresh_until` the ring is aggregated again: windows empty themselves for an entity that went quiet."""
    plan = card()
    value = plan.encode(stepped(plan, 0, 5), partition=2).values[0]
    counts = [GROUP.read(value, second * SECOND).values["n_7s"] for second in (6, 7, 8, 12, 13)]
    assert counts == [2, 2, 1, 1, 0]


def test_a_reading_says_how_old_it_is_and_what_it_comes_from() -> None:
    """Age in milliseconds since the newest event; the source is that event's place in the log."""
    plan = card()
    value = plan.encode(stepped(plan, 0, 5), partition=2).values[0]
    read = GROUP.read(value, 8 * SECOND)
    assert (read.status, read.age_ms, read.source) == ("fresh", 3_000, ("raw-data", 2, 1))
    merchant = compile_entity(deployment(CARD_SPEND, SHOP_TAKINGS), "merchant", copies=True)
    copied = compile_group(SHOP_TAKINGS).read(merchant.encode(stepped(merchant, 0), partition=1).values[0], 1)
    assert copied.source == ("raw-data.by-merchant", 1, 0)


def test_an_unknown_entity_reads_like_the_first_row_of_a_known_one() -> None:
    """Counts and sums of nothing are 0, the rest is missing: what training saw of an entity's first event."""
    plan = card()
    state = plan.empty()
    first = plan.step(state, Happened(SECOND, {"amount": 1.0}), "e", 0).groups[CARD_SPEND.key]
    read = GROUP.read(None, SECOND)
    assert (read.status, read.age_ms, read.source) == ("missing", None, None)
    without = {name: value for name, value in first.items() if "now" not in name}
    assert {name: value for name, value in read.values.items() if "now" not in name} == without
    assert GROUP.read(None, SECOND, current={"amount": 1.0}).values == first


def test_a_request_counts_its_own_event_where_a_feature_includes_it() -> None:
    """`include_current` means the event asked about, in a row as in a request."""
    plan = card()
    state = stepped(plan, 0, 5)
    value = plan.encode(state, partition=0).values[0]
    asked = GROUP.read(value, 6 * SECOND, current={"amount": 9.0})
    row = plan.step(state, Happened(6 * SECOND, {"amount": 9.0}), "e", 9).groups[CARD_SPEND.key]
    assert asked.values == row


def test_a_time_before_what_is_kept_is_stale() -> None:
    """Where the ring has been cut it cannot say what the value was, and says so."""
    plan = card()
    value = plan.encode(stepped(plan, 0, 100), partition=0).values[0]
    edge = 100 * SECOND - PAYMENT.lateness_us
    assert [GROUP.read(value, at).status for at in (edge - 1, edge)] == ["stale", "fresh"]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xf5\x02" + b"\0" * 200])
def test_bytes_of_another_format_are_unreadable(data: bytes) -> None:
    """A reader never guesses."""
    with pytest.raises(Unreadable):
        GROUP.read(data, 0)
    with pytest.raises(Unreadable):
        horizon.unpack(data)


def test_a_value_that_was_cut_short_is_unreadable() -> None:
    """A ring must be as long as its header says."""
    plan = card()
    value = plan.encode(stepped(plan, 0, 5), partition=0).values[0]
    assert value is not None
    with pytest.raises(Unreadable):
        GROUP.decode(value[:-1])


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (FeatureSpec("x", "sum", None, SECOND), "CardSpend.x: sum needs an argument"),
        (FeatureSpec("x", "sum", AMOUNT, None), "CardSpend.x: sum needs a window"),
        (FeatureSpec("x", "last", FieldRef("payment", "card", "str"), None), "last of text is not supported"),
        (FeatureSpec("x", "max", Const("a"), SECOND), "max of text is not supported"),
    ],
)
def test_a_feature_that_cannot_be_computed_is_refused(feature: FeatureSpec, said: str) -> None:
    """Compiling names the group, the feature and what is wrong."""
    with pytest.raises(ValueError, match=said):
        compile_group(replace(CARD_SPEND, features=(feature,)))


def test_what_float32_cannot_hold_is_missing() -> None:
    """A value too large for the model's numbers is missing, in rows and in the store alike."""
    group = compile_group(replace(CARD_SPEND, features=(FeatureSpec("x", "sum", AMOUNT, SECOND),)))
    ring = group.empty()
    ring.append(0, [3e38])
    ring.append(0, [3e38])
    assert group.values(ring, 1) == {"x": None}
