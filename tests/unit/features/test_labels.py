"""Labels: checked, deduplicated, keyed by the event they are about."""

from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import NOON_US, Stage

from millrace_common.ids import label_event_id, label_id


def staged() -> Stage:
    """Return a stage with features of cards and of merchants."""
    return Stage(deployment(CARD_SPEND, SHOP_TAKINGS))


def away(stage: Stage, key: str) -> int:
    """Return a partition that is not the key's."""
    return (stage.home(key) + 1) % stage.partitions


async def test_a_label_is_keyed_by_the_event_it_is_about() -> None:
    """A label event becomes a label with an id of its own input, and no row; the event it refers to need not exist."""
    stage = staged()
    chargeback = {"payment_id": "p1", "ts": NOON_US // 1_000}
    await stage.send(chargeback, type_="chargeback")
    await stage.send(chargeback, type_="chargeback")
    await stage.run()
    (label,) = stage.labels()
    canonical = f'{{"payment_id":"p1","ts":{NOON_US}}}'
    assert label.source_event_id == label_event_id("chargeback", "p1", canonical)
    assert label.label_id == label_id("fraud", label.source_event_id)
    assert (label.key, label.event_type, label.event_id, label.value) == ("p1", "payment", "p1", True)
    assert label.seen_time_us == NOON_US
    assert stage.counts() == {"in": 2, "labels": 1, "duplicates": 1}


async def test_a_label_is_never_late() -> None:
    """Of several labels the newest seen wins, in whatever order they come: none is turned away."""
    stage = staged()
    for second in (0, -100):
        await stage.send({"payment_id": "p1", "ts": NOON_US // 1_000 + second * 1_000}, type_="chargeback")
    await stage.run()
    assert len(stage.labels()) == 2


async def test_a_misplaced_label_moves_to_the_event_it_is_about() -> None:
    """A label event's key is the id it refers to; moves apply to it, and it keeps its id."""
    stage = staged()
    await stage.send({"payment_id": "p1", "ts": NOON_US // 1_000}, type_="chargeback", partition=away(stage, "p1"))
    await stage.run()
    (label,) = stage.labels()
    assert label.source.partition == stage.home("p1")
    assert stage.counts() == {"in": 2, "moved": 1, "labels": 1}
