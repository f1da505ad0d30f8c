"""Entity state against its slow oracle, over every way in which events come."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.features.deployment import CARD_SPEND, HOUR, PAYMENT, SECOND, SHOP_TAKINGS, VISIT, deployment
from tests.unit.oracles.windows import Oracle, Past

from millrace.spec import EventSpec, Scalar
from millrace_engine.entity import EntityPlan, EntityState, compile_entity
from millrace_engine.groups import compile_group
from millrace_engine.rings import Ring

DEPLOYMENT = deployment(CARD_SPEND, SHOP_TAKINGS)
CARD = compile_entity(DEPLOYMENT, "card")
MERCHANT = compile_entity(DEPLOYMENT, "merchant", copies=True)


@dataclass(frozen=True)
class Happened:
    """An event, as a step sees it."""

    spec: EventSpec
    time_us: int
    fields: dict[str, Scalar]


amounts = st.none() | st.floats(0, 1e6, width=32) | st.sampled_from([0.1, 0.2, 0.7, 5.0, 1e16, 3.4e38])
moments = st.integers(0, 60).map(lambda second: second * SECOND // 2) | st.integers(0, 2 * HOUR)


@st.composite
def logs(draw: st.DrawFn, specs: tuple[EventSpec, ...]) -> list[tuple[str, Happened]]:
    """Draw a log: in order, shuffled, duplicated or late, as a producer may send it."""
    times = draw(st.lists(moments, max_size=30))
    order = draw(st.sampled_from(["in order", "shuffled", "nearly"]))
    if order == "in order":
        times.sort()
    if order == "nearly":
        times = sorted(times, key=lambda time: time + 3 * SECOND * (time % 3))
    log = []
    for i, time_us in enumerate(times):
        spec = draw(st.sampled_from(specs))
        fields: dict[str, Scalar] = {"amount": draw(amounts)} if spec is PAYMENT else {}
        reused = draw(st.integers(0, max(i, 8)))
        log.append((f"e{reused if reused < i else i}", Happened(spec, time_us, fields)))
        if draw(st.integers(0, 5)) == 0:
            log.append(log[draw(st.integers(0, len(log) - 1))])
    return log


def restarted(plan: EntityPlan, state: EntityState) -> EntityState:
    """Return the state as it comes back from the store."""
    encoded = plan.encode(state, partition=0)
    back = plan.decode(encoded.values, encoded.horizon)
    assert plan.encode(back, partition=0) == encoded
    return back


def hold_against_oracle(plan: EntityPlan, log: list[tuple[str, Happened]], restarts: set[int]) -> None:
    """Step through a log and compare each verdict and row; at `restarts` compare the store's answer too."""
    oracle = Oracle(tuple(group.spec for group in plan.groups))
    state = plan.empty()
    for offset, (event_id, event) in enumerate(log):
        verdict = oracle.verdict(event.spec, event_id, event.time_us)
        now = Past(event_id, event.spec.type, event.time_us, event.fields)
        step = plan.step(state, event, event_id, offset)
        assert step.verdict == verdict
        if verdict == "counted":
            assert dict(step.groups) == oracle.rows(event.time_us, now)
            oracle.counted.append(now)
        if offset in restarts:
            back = restarted(plan, state)
            if state.offset >= 0:
                assert repr(back) == repr(state)
            state = back


@settings(max_examples=300, deadline=None)
@given(logs((PAYMENT,)), st.sets(st.integers(0, 40)))
def test_rows_are_those_of_the_oracle(log: list[tuple[str, Happened]], restarts: set[int]) -> None:
    """A row uses the entity's earlier events of the log with event time in [t - W, t); each verdict likewise."""
    hold_against_oracle(CARD, log, restarts)


@settings(max_examples=100, deadline=None)
@given(logs((PAYMENT,)), st.sets(st.integers(0, 40)))
def test_rows_of_another_entity_are_those_of_the_oracle(log: list[tuple[str, Happened]], restarts: set[int]) -> None:
    """The same holds for copies of other entities' events."""
    hold_against_oracle(MERCHANT, log, restarts)


@settings(max_examples=100, deadline=None)
@given(logs((PAYMENT, VISIT)), st.sets(st.integers(0, 40)))
def test_verdicts_do_not_depend_on_events_of_another_type(log: list[tuple[str, Happened]], restarts: set[int]) -> None:
    """Another event class on the same entity, of another pipeline perhaps, changes no verdict and no row."""
    alone, both = CARD.empty(), CARD.empty()
    for offset, (event_id, event) in enumerate(log):
        step = CARD.step(both, event, event_id, offset)
        if event.spec is PAYMENT:
            assert CARD.step(alone, event, event_id, offset) == step
        if offset in restarts:
            both = restarted(CARD, both)


@settings(max_examples=200, deadline=None)
@given(logs((PAYMENT,)), st.integers(-20 * SECOND, 60 * SECOND) | st.integers(0, 3 * HOUR))
def test_the_store_answers_as_the_oracle_at_any_later_time(log: list[tuple[str, Happened]], after_us: int) -> None:
    """What is stored is right at every time that is not too late to ask about, without being written again."""
    oracle, state = Oracle((CARD_SPEND,)), CARD.empty()
    for offset, (event_id, event) in enumerate(log):
        if CARD.step(state, event, event_id, offset).verdict == "counted":
            oracle.counted.append(Past(event_id, "payment", event.time_us, event.fields))
    newest = oracle.newest("payment")
    at_us = (newest or 0) + after_us
    value = CARD.encode(state, partition=0).values[0]
    read = compile_group(CARD_SPEND).read(value, at_us)
    if newest is None:
        assert read.status == "missing"
    elif at_us < newest - PAYMENT.lateness_us:
        assert read.status == "stale"
        return
    else:
        assert read.status == "fresh"
        assert read.source == ("raw-data", 0, state.offset)
    assert read.values == oracle.rows(at_us, None)[CARD_SPEND.key]


@settings(max_examples=100, deadline=None)
@given(logs((PAYMENT,)))
def test_the_ring_is_trimmed_as_in_the_settle_model(log: list[tuple[str, Happened]]) -> None:
    """A group of windows keeps what is not older than newest - lateness - window, and nothing else."""
    oracle, state = Oracle((SHOP_TAKINGS,)), MERCHANT.empty()
    for offset, (event_id, event) in enumerate(log):
        if MERCHANT.step(state, event, event_id, offset).verdict == "counted":
            oracle.counted.append(Past(event_id, "payment", event.time_us, event.fields))
    newest = oracle.newest("payment") or 0
    oldest = newest - PAYMENT.lateness_us - 30 * SECOND
    ring: Ring = state.rings[0]
    assert ring.times == [past.time_us for past in oracle.counted if past.time_us >= oldest]
