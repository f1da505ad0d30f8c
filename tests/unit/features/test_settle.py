"""Features overtaken, restarted, and robbed of its store: each case by itself."""

from dataclasses import replace

import pytest
from tests.fakes.features.deployment import CARD_SPEND, SECOND, SHOP_TAKINGS, deployment, over
from tests.fakes.features.dying import DyingOnline, Killed
from tests.fakes.features.stage import Stage, payment

from millrace.spec import Deployment
from millrace_common.errors import Fenced, Misconfigured
from millrace_common.online_memory import MemoryOnline
from millrace_common.records import TopicPartition
from millrace_features.handlers import Features

DEPLOYMENT = deployment(CARD_SPEND, SHOP_TAKINGS)


async def settled(*, partitions: int = 2, events: int = 20) -> Stage:
    """Return a stage that has worked off events of three cards and two merchants."""
    stage = Stage(DEPLOYMENT, partitions)
    for n in range(events):
        await stage.send(payment(f"p{n}", f"c{n % 3}", n, merchant=f"m{n % 2}"))
    await stage.run()
    return stage


async def idle(stage: Stage) -> None:
    """Let every partition compare its store."""
    for seat in stage.bus._seats:
        await seat.idle()


async def overtaken() -> Stage:
    """Return a stage whose partitions another process has taken over and worked on, unnoticed."""
    stage = await settled()
    other = Stage(DEPLOYMENT, 2, MemoryOnline(stage.store.held, "other"))
    other.bus.log = stage.bus.log
    for n in range(3):
        await other.send(payment(f"x{n}", f"c{n}", 29))
    await other.run()
    return stage


async def test_a_second_owner_is_noticed_when_idle() -> None:
    """A writer that was overtaken finds another's cursor record at its next idle poll, and ends."""
    await idle(await settled())
    stage = await overtaken()
    with pytest.raises(Fenced):
        await idle(stage)


@pytest.mark.parametrize("card", ["c0", "stranger"])
async def test_a_second_owner_is_noticed_before_anything_is_stored(card: str) -> None:
    """An overtaken writer ends at its next write; where it must load an entity, before it publishes."""
    stage = await overtaken()
    names = (card, *(f"{card}{n}" for n in range(10)))
    card = next(name for name in names if stage.home(name) == stage.home("c0"))
    theirs, published = dict(stage.store.held), len(stage.records("features"))
    await stage.send(payment("y", card, 30))
    with pytest.raises(Fenced):
        await stage.run()
    assert stage.store.held == theirs
    assert (len(stage.records("features")) == published) == (card != "c0")


async def test_a_store_that_went_back_is_noticed_and_filled_again() -> None:
    """After a rollback the writer ends; started again it is back where it was, and published no row twice."""
    stage = Stage(DEPLOYMENT, 2)
    await stage.send(payment("p", "c0", 0))
    await stage.run()
    before = dict(stage.store.held)
    for n in range(20):
        await stage.send(payment(f"p{n}", f"c{n % 3}", n))
    await stage.run()
    values = {key: value for key, value in stage.store.held.items() if ":c:" not in key}
    published = len(stage.records("features"))
    stage.store.held.clear()
    stage.store.held.update(before)
    with pytest.raises(Fenced):
        await idle(stage)
    stage.restart()
    await stage.run()
    assert {key: value for key, value in stage.store.held.items() if ":c:" not in key} == values
    assert len(stage.records("features")) == published
    assert stage.counts()["in"] > 0


async def test_an_empty_store_is_filled_from_the_log_without_publishing_again() -> None:
    """Flush, restart: the same bytes lie in the store, and what was acknowledged is not sent again (R8)."""
    stage = await settled()
    values = {key: value for key, value in stage.store.held.items() if ":c:" not in key}
    published = len(stage.records("features"))
    stage.restart(MemoryOnline())
    await stage.run()
    assert {key: value for key, value in stage.store.held.items() if ":c:" not in key} == values
    assert len(stage.records("features")) == published


async def test_a_restart_changes_no_row() -> None:
    """In memory, state equals what the store gives back: rows after a restart are those without one."""
    whole, halved = await settled(events=40), await settled(events=20)
    halved.restart()
    for n in range(20, 40):
        await halved.send(payment(f"p{n}", f"c{n % 3}", n, merchant=f"m{n % 2}"))
    await halved.run()
    spine = [{row.row_id: row for row in stage.rows() if row.spine} for stage in (whole, halved)]
    assert spine[0] == spine[1]


async def test_a_changed_definition_is_computed_from_the_log() -> None:
    """Groups of another set count as never stored: their state is folded anew; rows that stand are not sent again."""
    stage = await settled()
    published = len(stage.records("features"))
    wider = replace(CARD_SPEND, features=over(60 * SECOND), hash="abcdef01" * 4)
    changed: Deployment = deployment(wider, SHOP_TAKINGS)
    stage.deployment = changed
    stage.restart()
    await stage.run()
    assert len(stage.records("features")) == published
    stage.restart()
    await stage.send(payment("new", "c0", 20))
    await stage.run()
    (row,) = (row for row in stage.rows() if row.event_id == "new" and row.spine)
    assert row.groups[wider.key]["n_60s"] == 7
    stage.deployment = DEPLOYMENT
    stage.restart()
    await stage.send(payment("newer", "c0", 21))
    await stage.run()
    (row,) = (row for row in stage.rows() if row.event_id == "newer" and row.spine)
    assert row.groups[CARD_SPEND.key]["n_30s"] == 8


async def test_a_store_of_other_partitions_is_refused() -> None:
    """Where an entity lies depends on the number of partitions: a store written for another is refused."""
    stage = await settled(partitions=2)
    other = Stage(DEPLOYMENT, 3, stage.store)
    with pytest.raises(Misconfigured, match="partitions"):
        await other.run()


async def test_only_the_last_call_of_a_batch_moves_the_cursor() -> None:
    """A batch of many entities is stored in several calls; killed between them, all of it is judged again."""
    stage = Stage(deployment(), partitions=1)
    stage.restart(DyingOnline(stage.store.held, before=3))
    for n in range(2_500):
        await stage.send(payment(f"p{n}", f"c{n}", 0))
    with pytest.raises(Killed):
        await stage.run()
    horizons = [key for key in stage.store.held if ":i:" in key]
    assert len(horizons) == 2_000
    assert b'"offset":0,' in stage.store.held["fs:{card.0}:c:raw-data:live"]
    stage.restart(MemoryOnline(stage.store.held, "next life"))
    await stage.run()
    assert stage.counts() == {"in": 2_500, "rows": 500, "replayed": 2_000}
    assert len({row.row_id for row in stage.rows()}) == 2_500


async def test_a_small_cache_changes_nothing() -> None:
    """Entities that were evicted come back from the store as they were."""
    whole, small = await settled(), Stage(DEPLOYMENT, 2)
    small.entities_max = 1
    small.restart()
    small.bus.batch_records_max = 2
    for n in range(20):
        await small.send(payment(f"p{n}", f"c{n % 3}", n, merchant=f"m{n % 2}"))
    await small.run()
    assert sorted(map(repr, whole.rows())) == sorted(map(repr, small.rows()))


def test_what_a_row_depends_on_is_said() -> None:
    """R14: the longest window or id horizon, and the lateness on top; the last value of ever has no bound."""
    stage = Stage(deployment(CARD_SPEND, SHOP_TAKINGS))
    reaches = {subscription.topic: subscription.reach_us for subscription in stage.service.subscriptions}
    assert reaches == {"raw-data": None, "raw-data.by-merchant": 40 * SECOND}


@pytest.mark.parametrize("entity", ["c1", "", "a:b", "é" * 400])
async def test_a_shard_names_keys_as_its_slot_does(entity: str) -> None:
    """Where state lies is said by the slot; a shard only says it faster."""
    stage = await settled(events=1)
    cursors = stage.service.subscriptions[0].cursors
    assert isinstance(cursors, Features)
    for shard in cursors._shards[TopicPartition("raw-data", 0)].values():
        values = [shard.slot.value_key(entity, group_key) for group_key in shard.plan.group_keys]
        assert shard.keys(entity) == [shard.slot.horizon_key(entity), *values]
