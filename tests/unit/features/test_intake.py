"""The intake at a glance against the close look, and what no producer may do to others."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.features.deployment import CARD_SPEND, PAYMENT, SECOND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import NOON_US, Stage, payment

from millrace.spec import Deployment
from millrace_common.keys import REDIS_ID_BYTES_MAX, redis_id
from millrace_common.records import Headers, Outgoing

TYPED = deployment(CARD_SPEND, SHOP_TAKINGS)
ALONE = deployment(CARD_SPEND, only_payments=True)
HASHED = replace(
    ALONE,
    events={
        "payment": replace(
            PAYMENT,
            id_field=None,
            fields=tuple(
                replace(f, pii="hash" if f.name == "merchant" else None, role="plain" if f.role == "id" else f.role)
                for f in PAYMENT.fields
            ),
        )
    },
)
DEPLOYMENTS = {"typed": TYPED, "alone": ALONE, "hashed": HASHED}

names = st.sampled_from(["c1", "c2", "c3", "ü", "c" * 700, ""])
good = st.builds(
    lambda n, card, second, **fields: payment(f"p{n}", card, second, **fields),
    st.integers(0, 6),
    names,
    st.integers(-12, 33),
    amount=st.sampled_from([None, 1, 2.5, -0.0]),
    merchant=st.sampled_from([None, "m1", "m2"]),
)
others = st.builds(
    lambda type_, n, card, second: {
        "type": type_,
        "ts": int(NOON_US // 1_000 + second * 1_000),
        **({"payment_id": f"p{n}"} if type_ == "chargeback" else {"card": card}),
    },
    st.sampled_from(["visit", "chargeback", "unknown"]),
    st.integers(0, 6),
    names,
    st.integers(-12, 33),
)
"""Events of the other classes: their values say so."""
odd = st.sampled_from(
    [
        b"",
        b"{",
        b"null",
        b"\xff",
        b'{"payment_id":"p","card":"c1","amount":NaN,"ts":1}',
        b'{"payment_id":"p","card":"c1","amount":1e999,"ts":1}',
        b'{"payment_id":"p","card":"c1","ts":"2023-11-14T22:13:20.123456789Z"}',
        b'{"payment_id":"p","card":"c1","ts":"2023-11-14T22:13:20"}',
        b'{"payment_id":"p","card":"c1","ts":1700000000000,"type":"payment"}',
        b'{"payment_id":"p","card":"c1","ts":1700000000000,"type":"visit"}',
        b'{"payment_id":"p","card":"c1","ts":1700000000000,"type":null}',
        b'{"payment_id":"p","card":"c1","ts":1700000000000,"more":1}',
        b'{"payment_id":"\\ud800","card":"c1","ts":1700000000000}',
        b'{"payment_id":"p","card":"c1","ts":"0001-01-01T00:00:00+23:00"}',
        b'{"type":"\\udc00"}',
        b'{"card":"c1","ts":1700000000000}',
        None,
    ]
)
stated: st.SearchStrategy[Headers] = st.lists(
    st.sampled_from(
        [
            ("ce_type", b"payment"),
            ("ce_type", b"visit"),
            ("ce_type", b"\xff"),
            ("ce_type", b""),
            ("ce_id", b"one"),
            ("millrace-correction", b"withdraw"),
            ("millrace-correction", b"replace"),
            ("millrace-correction", b""),
            ("ce_dataschema", b"payment/1"),
            ("ce_dataschema", b"payment/01"),
            ("ce_dataschema", b"payment/2"),
            ("ce_dataschema", b"x"),
            ("traceparent", b"00"),
            ("millrace-moved", b"raw-data/0/0/1700000000000000"),
            ("millrace-moved", b"raw-data/1/9/1700000000000000"),
            ("millrace-moved", b"raw-data/7/1/1700000000000000"),
            ("millrace-moved", b"?"),
            ("millrace-event-id", b"kept"),
        ]
    ),
    max_size=3,
).map(tuple)
places = st.sampled_from([None, None, 0, 1])
sent = st.tuples(good | odd, stated | st.just(()), places)
told = st.tuples((good | others).map(lambda value: {"type": "payment", **value}) | odd, st.just(()), places)
"""Events without headers, that say of which class they are."""


async def worked(declared: Deployment, events: list[tuple[object, Headers, int | None]], *, glance: bool) -> Stage:
    """Return a stage that has worked off events, looking at each closely or not."""
    stage = Stage(declared, partitions=2, at_a_glance=glance)
    stage.bus.batch_records_max = 7
    for value, headers, partition in events:
        data = json.dumps(value).encode() if isinstance(value, dict) else value
        key = str(value.get("card", value.get("payment_id"))).encode() if isinstance(value, dict) else b"c1"
        assert data is None or isinstance(data, bytes)
        await stage.bus.publish([Outgoing("raw-data", key, data, headers, partition)])
    await stage.run()
    return stage


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(DEPLOYMENTS)), st.lists(sent, max_size=12) | st.lists(told, max_size=12), stated | st.none()
)
def test_a_glance_sees_what_a_close_look_sees(
    name: str, events: list[tuple[object, Headers, int | None]], common: Headers | None
) -> None:
    """Whatever lies on raw-data: the same bytes go out in the same order and the same state is held.

    Sometimes all records have the headers in `common`, as a producer's batch has.
    """
    if common is not None:
        events = [(value, common, partition) for value, _, partition in events]
    quick, close = (asyncio.run(worked(DEPLOYMENTS[name], events, glance=glance)) for glance in (True, False))
    assert quick.bus.log == close.bus.log
    assert quick.store.held == close.store.held
    assert quick.counts() == close.counts()


async def test_a_forged_origin_silences_nobody() -> None:
    """A copy that claims to come from past the end of raw-data is refused, and genuine moves still count (R12)."""
    stage = Stage(TYPED, partitions=2)
    forged: Headers = (("millrace-moved", f"raw-data/{1 - stage.home('c1')}/999999/{NOON_US}".encode()),)
    await stage.send(payment("forged", "c1", 0), headers=forged)
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    assert (dead.header("millrace-reason"), dead.header("millrace-field")) == ("unborn-origin", "millrace-moved")
    await stage.send(payment("p1", "c1", 1), partition=1 - stage.home("c1"))
    await stage.run()
    assert [row.event_id for row in stage.rows() if row.spine] == ["p1"]


async def test_a_copy_of_what_is_never_copied_is_a_dead_letter() -> None:
    """An event class without groups by another entity has no business on that entity's topic."""
    stage = Stage(TYPED, partitions=1)
    await stage.send(payment("p1", "c1", 0))
    origin: Headers = (("ce_type", b"visit"), ("millrace-moved", f"raw-data/0/0/{NOON_US}".encode()))
    visit = json.dumps({"card": "c1", "ts": NOON_US // 1_000}).encode()
    await stage.bus.publish([Outgoing("raw-data.by-merchant", b"m", visit, origin)])
    await stage.run()
    assert [r.header("millrace-reason") for r in stage.records("raw-data.by-merchant.dlq")] == ["not-a-copy"]


@pytest.mark.parametrize("card", ["é" * 5_000, "x" * 10_240, "\u0000", "a b:{c}", "日本"], ids=len)
async def test_entity_ids_are_any_text(card: str) -> None:
    """Ids of 10 kB and of any characters have their rows and state; in Redis a long one stands by its hash."""
    stage = Stage(TYPED)
    for n in range(2):
        await stage.send(payment(f"p{n}", card, n))
    await stage.run()
    stage.restart()
    await stage.send(payment("p2", card, 2))
    await stage.run()
    rows = [row for row in stage.rows() if row.spine]
    assert [row.groups[CARD_SPEND.key]["n_7s"] for row in rows] == [0, 1, 2]
    assert {row.entity_id for row in rows} == {card}
    assert any(key.endswith(f":i:{redis_id(card)}") for key in stage.store.held)
    assert all(len(key.encode()) < REDIS_ID_BYTES_MAX + 100 for key in stage.store.held)


async def test_an_empty_entity_id_is_a_dead_letter() -> None:
    """Nothing is about nobody."""
    stage = Stage(TYPED)
    await stage.send(payment("p", "", 0))
    await stage.run()
    assert [r.header("millrace-field") for r in stage.records("raw-data.dlq")] == ["card"]


async def test_a_clock_that_jumps_harms_its_own_entity_only() -> None:
    """A producer's clock an hour ahead is refused; one that jumped back makes events of its own entity late."""
    stage = Stage(TYPED)
    await stage.send(payment("ahead", "c1", 3_600))
    await stage.send(payment("p1", "c1", 0))
    await stage.send(payment("back", "c1", -3_600))
    await stage.send(payment("p2", "c2", -3_600))
    await stage.send(payment("p3", "c1", 1))
    await stage.run()
    assert {row.event_id for row in stage.rows() if row.spine} == {"p1", "p2", "p3"}
    assert [r.header("millrace-reason") for r in stage.records("raw-data.dlq")] == ["future"]
    assert len(stage.records("raw-data.late")) == 1


async def test_one_busy_key_costs_no_more_as_it_grows() -> None:
    """Ten thousand events of one key: what is stored of it has a bound, and the last row still counts exactly."""
    stage = Stage(deployment(CARD_SPEND, only_payments=True), partitions=1)
    for n in range(10_000):
        await stage.send(payment(f"p{n}", "c1", n / 100))
        if n % 100 == 0:
            stage.clock.advance_to(NOON_US + n // 100 * SECOND)
    await stage.run()
    last = max(stage.rows(), key=lambda row: row.event_time_us)
    assert last.groups[CARD_SPEND.key]["n_7s"] in range(700, 700 + 60)
    assert max(map(len, stage.store.held.values())) < 64 << 10
