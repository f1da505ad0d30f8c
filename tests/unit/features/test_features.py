"""The features service on a bus in memory: what becomes of each record."""

import json

import pytest
from msgspec.structs import replace
from tests.fakes.features.deployment import CARD_SPEND, SECOND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import NOON_US, Stage, payment

from millrace_common.ids import event_id_at, row_id
from millrace_common.records import Headers

CARD, SHOP = CARD_SPEND.key, SHOP_TAKINGS.key


def staged(partitions: int = 4) -> Stage:
    """Return a stage with features of cards and of merchants."""
    return Stage(deployment(CARD_SPEND, SHOP_TAKINGS), partitions)


def resident(stage: Stage, partition: int) -> str:
    """Return a card that is at home in a partition."""
    return next(card for card in map("r{}".format, range(1_000)) if stage.home(card) == partition)


def away(stage: Stage, key: str) -> int:
    """Return a partition that is not the key's."""
    return (stage.home(key) + 1) % stage.partitions


async def test_an_event_gets_its_spine_row() -> None:
    """A counted event gets one row with its entity's groups before it and its own fields, keyed by the entity."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0, amount=3.0))
    await stage.send(payment("p2", "c1", 1, amount=4.0))
    await stage.run()
    row = next(row for row in stage.rows() if row.spine and row.event_id == "p2")
    assert row.key == "c1"
    assert row.row_id == row_id("card", "payment", "p2", [CARD])
    assert (row.source.topic, row.source.partition, row.source.offset) == ("raw-data", stage.home("c1"), 1)
    assert (row.event_time_us, row.append_time_us) == (NOON_US + SECOND, NOON_US)
    assert row.groups[CARD]["n_7s"] == 1
    assert row.groups[CARD]["sum_7s"] == 3.0
    assert row.fields == {"payment_id": "p2", "card": "c1", "merchant": "m", "amount": 4.0, "ts": NOON_US + SECOND}


async def test_an_entity_without_groups_still_gets_its_row() -> None:
    """The event's own entity always gets a row, even with no group."""
    stage = Stage(deployment())
    await stage.send(payment("p1", "c1", 0))
    await stage.run()
    (row,) = stage.rows()
    assert (row.spine, row.groups) == (True, {})
    assert row.fields is not None


async def test_another_entity_gets_a_row_of_its_own() -> None:
    """An event with groups by another entity is copied to that entity's topic and gets a row there, without fields."""
    stage = staged()
    for n, card in enumerate(["c1", "c2", "c3"]):
        await stage.send(payment(f"p{n}", card, n, merchant="shop"))
        await stage.run()
    rows = [row for row in stage.rows() if not row.spine]
    assert [row.groups[SHOP]["n_30s"] for row in rows] == [0, 1, 2]
    assert {(row.entity_type, row.entity_id, row.key, row.fields) for row in rows} == {
        ("merchant", "shop", "shop", None)
    }
    assert {row.source.topic for row in rows} == {"raw-data.by-merchant"}
    (record, *_) = stage.records("raw-data.by-merchant")
    assert record.header("millrace-moved") == f"raw-data/{stage.home('c1')}/0/{NOON_US}"


async def test_an_event_that_names_no_other_entity_has_no_copy() -> None:
    """A missing field names no entity."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0, merchant=None))
    await stage.run()
    assert stage.records("raw-data.by-merchant") == []
    assert stage.counts() == {"in": 1, "rows": 1}


async def test_duplicates_count_once() -> None:
    """Of several events with one id only the first counts, and only it is forwarded."""
    stage = staged()
    for _ in range(3):
        await stage.send(payment("p1", "c1", 0))
    await stage.run()
    assert len([row for row in stage.rows() if row.spine]) == 1
    assert len(stage.records("raw-data.by-merchant")) == 1
    assert stage.counts()["duplicates"] == 2


async def test_an_event_too_late_for_its_entity_has_no_row() -> None:
    """Later than the bound for its own entity: `raw-data.late` with the original bytes and the reason, no row."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0))
    await stage.send(payment("p2", "c1", -10))
    await stage.send(payment("p3", "c1", -10.001))
    await stage.run()
    assert {row.event_id for row in stage.rows()} == {"p1", "p2"}
    (late,) = stage.records("raw-data.late")
    assert json.loads(late.value or b"")["payment_id"] == "p3"
    assert (late.key, late.header("millrace-reason"), late.header("millrace-source-offset")) == (b"c1", "late", "2")
    assert stage.counts()["late"] == 1


async def test_an_event_too_late_for_another_entity_only_says_so() -> None:
    """Late for another entity only: its own row stands, that entity's row says late and has no values."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0, merchant="shop"))
    await stage.run()
    await stage.send(payment("p2", "c2", -11, merchant="shop"))
    await stage.run()
    own, other = (row for row in stage.rows() if row.event_id == "p2")
    if other.spine:
        own, other = other, own
    assert (own.late, other.late) == (False, True)
    assert set(other.groups[SHOP].values()) == {None}
    assert stage.counts()["copies_late"] == 1


async def test_a_misplaced_event_counts_at_home() -> None:
    """An event in another partition moves under its key with its id and origin, and counts only there."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0), partition=away(stage, "c1"), headers=(("ce_id", b"x"),))
    await stage.run()
    (home,) = (r for r in stage.records("raw-data") if r.partition == stage.home("c1"))
    assert (home.key, home.header("ce_id")) == (b"c1", "x")
    assert home.header("millrace-moved") == f"raw-data/{away(stage, 'c1')}/0/{NOON_US}"
    assert [row.source.partition for row in stage.rows() if row.spine] == [stage.home("c1")]
    assert stage.counts() == {"in": 2, "moved": 1, "rows": 1, "copies": 1, "copies_in": 1, "copies_rows": 1}


async def test_plain_json_without_headers_or_key_gets_its_row() -> None:
    """A producer may send plain JSON with the field `type`; without a key it moves to its entity's partition."""
    stage = staged()
    await stage.send({**payment("p1", "c1", 0), "type": "payment"}, type_=None, partition=away(stage, "c1"))
    await stage.run()
    (row,) = (row for row in stage.rows() if row.spine)
    assert (row.event_id, row.key) == ("p1", "c1")


async def test_an_event_without_id_keeps_the_one_of_where_it_first_lay() -> None:
    """An event that names no id is named by its first position; a move keeps that."""
    stage = staged()
    visit = {"card": "c1", "ts": NOON_US // 1_000}
    await stage.send(visit, type_="visit", partition=away(stage, "c1"))
    await stage.run()
    (row,) = stage.rows()
    assert row.event_id == event_id_at("raw-data", away(stage, "c1"), 0)
    assert row.source.partition == stage.home("c1")


async def test_a_row_holds_all_groups_of_its_entity() -> None:
    """An event of another type on the same entity has the groups as they stand at its time."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0))
    await stage.send({"card": "c1", "ts": NOON_US // 1_000 + 1}, type_="visit")
    await stage.run()
    (row,) = (row for row in stage.rows() if row.event_type == "visit")
    assert row.groups[CARD]["n_7s"] == 1


async def test_a_copy_that_is_still_misplaced_is_a_dead_letter() -> None:
    """A copy is never moved again."""
    stage = staged()
    origin: Headers = (("millrace-moved", f"raw-data/0/0/{NOON_US}".encode()),)
    await stage.send(payment("p1", "c1", 0), partition=away(stage, "c1"), headers=origin)
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    assert dead.header("millrace-reason") == "misplaced"


async def test_a_copy_made_twice_counts_once() -> None:
    """Of the copies of one origin only the first counts, however far apart (R12), and whatever its id is."""
    stage = staged()
    place = away(stage, "c1")
    await stage.send({"card": "c1", "ts": NOON_US // 1_000}, type_="visit", partition=place)
    await stage.send({"card": "c1", "ts": NOON_US // 1_000}, type_="visit", partition=place)
    await stage.run()
    moved = [r for r in stage.records("raw-data") if r.header("millrace-moved")]
    for record in moved:
        await stage.send(record.value, type_=None, key="c1", headers=record.headers)
    stage.restart()
    await stage.run()
    assert len(stage.rows()) == 2
    assert stage.counts()["replayed"] >= 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty-body"),
        (b"", "empty-body"),
        (b"\xff\x00", "not-json"),
        (b"[1]", "not-object"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, None),
        ({**payment("p", "c", 0), "amount": "much"}, "wrong-type"),
        (b'{"payment_id":"p","card":"c","amount":NaN,"ts":1}', None),
        ({"payment_id": "p", "card": "c"}, "missing-field"),
        ({**payment("p", "c", 0), "ts": "0001-01-01T00:00:00+23:00"}, "out-of-range"),
        ({**payment("p", "c", 0), "colour": "red"}, "unknown-field"),
        (payment("p", "c", 31), "future"),
        (payment("p", "c", 0, merchant="m" * 600_000), "too-large"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_breaks_its_contract_is_a_dead_letter(value: dict[str, object] | bytes | None, reason: str) -> None:
    """Original bytes and headers, and in headers of ours why and where; nothing else comes of it."""
    stage = staged()
    await stage.send(value, partition=2, headers=(("theirs", b"1"),))
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    (sent,) = stage.records("raw-data")
    assert (dead.value, dead.header("theirs")) == (sent.value, "1")
    assert reason in (None, dead.header("millrace-reason"))
    place = [dead.header(f"millrace-source-{name}") for name in ("topic", "partition", "offset")]
    assert place == ["raw-data", "2", "0"]
    assert dead.header("millrace-service-version") == "1.2.3"
    assert stage.counts() == {"in": 1, "dead": 1}
    assert stage.records("features") == []


async def test_an_unknown_type_is_a_dead_letter_that_lists_the_known() -> None:
    """The reason names what could have been meant."""
    stage = staged()
    await stage.send(payment("p", "c", 0), type_="refund")
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    assert dead.header("millrace-reason") == "unknown-type"
    assert "chargeback, payment, visit" in (dead.header("millrace-detail") or "")


async def test_a_type_that_fits_no_header_is_a_dead_letter() -> None:
    """Half a surrogate pair, which JSON can say and UTF-8 cannot."""
    stage = staged()
    await stage.send(b'{"type":"\\udc00"}', type_=None)
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    assert (dead.header("millrace-reason"), dead.value) == ("unknown-type", b'{"type":"\\udc00"}')


async def test_the_future_is_judged_by_when_the_event_first_came() -> None:
    """A move, however late it is made, does not let an event through that was ahead of its time when it came."""
    stage = staged()
    origin = f"raw-data/{away(stage, 'c1')}/0/{NOON_US}".encode()
    await stage.send(payment("p0", resident(stage, away(stage, "c1")), 0))
    stage.clock.advance_to(NOON_US + 60 * SECOND)
    await stage.send(payment("p1", "c1", 31), headers=(("millrace-moved", origin),))
    await stage.run()
    (dead,) = stage.records("raw-data.dlq")
    assert (dead.header("millrace-reason"), dead.header("millrace-field")) == ("future", "ts")


@pytest.mark.parametrize(
    "origin",
    [b"", b"raw-data/1/2", b"other/1/2/3", b"raw-data/-1/2/3", b"raw-data/1/2/x", b"raw-data/1/2/" + b"9" * 19],
)
async def test_a_move_that_says_nothing_is_a_dead_letter(origin: bytes) -> None:
    """A malformed origin is refused, not guessed."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0), headers=(("millrace-moved", origin),))
    await stage.run()
    assert [r.header("millrace-reason") for r in stage.records("raw-data.dlq")] == ["malformed-move"]


async def test_a_foreign_record_on_our_own_topic_is_a_dead_letter() -> None:
    """Topics of other entities are written by features alone."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0))
    (record,) = stage.records("raw-data")
    foreign = replace(record, topic="raw-data.by-merchant")
    stage.bus.log["raw-data.by-merchant"][stage.home("m")].append(foreign)
    await stage.run()
    (dead,) = stage.records("raw-data.by-merchant.dlq")
    assert dead.header("millrace-reason") == "not-a-copy"


async def test_a_newer_schema_is_parked() -> None:
    """An event of a newer version than deployed is set aside as it came, with the reason."""
    stage = staged()
    await stage.send(payment("p1", "c1", 0), headers=(("ce_dataschema", b"payment/2"),))
    await stage.run()
    (parked,) = stage.records("raw-data.parked")
    (sent,) = stage.records("raw-data")
    assert (parked.value, parked.key, parked.partition) == (sent.value, sent.key, sent.partition)
    assert parked.header("millrace-reason") == "newer-schema"
    assert stage.counts() == {"in": 1, "parked": 1}
