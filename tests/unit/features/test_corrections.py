"""Corrections and withdrawals of an event by its id: exact while it is held as it came."""

import pytest
from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import Stage, payment

from millrace_common.messages import FeatureRow
from millrace_common.online_memory import MemoryOnline

CARD, SHOP = CARD_SPEND.key, SHOP_TAKINGS.key


def staged() -> Stage:
    """Return a stage with features of cards and of merchants."""
    return Stage(deployment(CARD_SPEND, SHOP_TAKINGS), 2)


async def correct(stage: Stage, how: str, event: dict[str, object], partition: int | None = None) -> None:
    """Send a correction of an event."""
    await stage.send(event, headers=(("millrace-correction", how.encode()),), partition=partition)


def of(stage: Stage, event_id: str, *, spine: bool = True) -> list[FeatureRow]:
    """Return the rows of an event, in log order."""
    return [row for row in stage.rows() if row.event_id == event_id and row.spine == spine]


async def test_a_withdrawn_event_is_as_if_it_had_not_been() -> None:
    """Later rows of its entity, and of the others that it named, do not see it; its own row is withdrawn."""
    stage = staged()
    for n in range(3):
        await stage.send(payment(f"p{n}", "c1", n, amount=float(n + 1)))
    await correct(stage, "withdraw", payment("p1", "c1", 1, amount=2.0))
    await stage.send(payment("p3", "c1", 3))
    await stage.run()
    first, last = of(stage, "p1")
    assert (first.op, last.op, first.row_id) == ("row", "withdrawn", last.row_id)
    assert set(last.groups[CARD].values()) == {None}
    (row,) = of(stage, "p3")
    assert (row.groups[CARD]["n_7s"], row.groups[CARD]["sum_7s"]) == (2, 4.0)
    (shop,) = of(stage, "p3", spine=False)
    assert (shop.groups[SHOP]["n_30s"], shop.groups[SHOP]["sum_30s"]) == (2, 4.0)
    assert [row.op for row in of(stage, "p1", spine=False)] == ["row", "withdrawn"]
    assert (stage.counts()["corrected"], stage.counts()["copies_corrected"]) == (1, 1)


async def test_a_replaced_event_counts_as_it_is_told_now() -> None:
    """Later rows see the new fields, once; its row comes again with the flag that says so."""
    stage = staged()
    for n in range(2):
        await stage.send(payment(f"p{n}", "c1", n))
    await correct(stage, "replace", payment("p0", "c1", 0, amount=9.0))
    await stage.send(payment("p2", "c1", 2))
    await stage.run()
    first, again = of(stage, "p0")
    assert (first.flags, again.flags, first.row_id) == ((), ("corrected",), again.row_id)
    assert again.fields is not None
    assert again.fields["amount"] == 9.0
    (row,) = of(stage, "p2")
    assert (row.groups[CARD]["n_7s"], row.groups[CARD]["sum_7s"]) == (2, 10.0)


async def test_a_withdrawn_event_stays_known() -> None:
    """A producer that sends it once more does not bring it back."""
    stage = staged()
    await stage.send(payment("p0", "c1", 0))
    await correct(stage, "withdraw", payment("p0", "c1", 0))
    await stage.send(payment("p0", "c1", 0))
    await stage.send(payment("p1", "c1", 1))
    await stage.run()
    assert of(stage, "p1")[0].groups[CARD]["n_7s"] == 0
    assert stage.counts()["duplicates"] == 1


async def test_what_is_not_held_any_more_goes_to_the_late_events() -> None:
    """An event that has gone into tiles, or never counted, cannot be taken back exactly: set aside, with the reason."""
    stage = staged()
    for n in range(70):
        await stage.send(payment(f"p{n}", "c1", n / 100))
    await correct(stage, "withdraw", payment("p0", "c1", 0))
    await correct(stage, "replace", payment("never", "c1", 0))
    await stage.send(payment("last", "c1", 1))
    await stage.run()
    late = stage.records("raw-data.late")
    assert [record.header("millrace-reason") for record in late] == ["not-held", "not-held"]
    assert [record.header("millrace-correction") for record in late] == ["withdraw", "replace"]
    assert of(stage, "last")[0].groups[CARD]["n_7s"] == 70
    assert stage.counts()["late"] == 2


@pytest.mark.parametrize("how", ["replace", "withdraw"])
async def test_a_correction_is_replayed_to_the_same_state(how: str) -> None:
    """A store that is lost is rebuilt to the same bytes; a partition that is read again corrects nothing twice."""
    stage = staged()
    for n in range(3):
        await stage.send(payment(f"p{n}", "c1", n))
    await correct(stage, how, payment("p1", "c1", 1, amount=5.0), partition=1 - stage.home("c1"))
    await stage.run()
    held = {key: value for key, value in stage.store.held.items() if ":c:" not in key}
    published = len(stage.records("features"))
    stage.restart(MemoryOnline())
    await stage.run()
    assert {key: value for key, value in stage.store.held.items() if ":c:" not in key} == held
    for key in [key for key in stage.store.held if ":c:" in key]:
        del stage.store.held[key]
    stage.restart()
    await stage.run()
    assert {key: value for key, value in stage.store.held.items() if ":c:" not in key} == held
    assert len(stage.records("features")) == published
    assert stage.records("raw-data.late") == []


@pytest.mark.parametrize(
    ("event", "how", "type_"),
    [
        (payment("p0", "c1", 0), "undo", "payment"),
        ({"card": "c1", "ts": 1_700_000_000_000}, "withdraw", "visit"),
        ({"payment_id": "p0", "ts": 1_700_000_000_000}, "withdraw", "chargeback"),
    ],
)
async def test_a_correction_that_names_no_event_is_a_dead_letter(
    event: dict[str, object], how: str, type_: str
) -> None:
    """An unknown verb, an event class without an id, a label: refused with the reason."""
    stage = staged()
    await stage.send(event, type_=type_, headers=(("millrace-correction", how.encode()),))
    await stage.run()
    assert [r.header("millrace-reason") for r in stage.records("raw-data.dlq")] == ["malformed-correction"]
