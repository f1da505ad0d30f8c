"""A store that was lost or went back, refilled by the features service, as a reader sees it at every step."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment
from tests.fakes.features.stage import Stage, payment
from tests.fakes.online import own_database

from millrace_common.errors import Fenced
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.online.line import Target
from millrace_common.online.nodes import Nodes
from millrace_common.slots import Cursor, Held, Slot, Wanted

CARDS, SHOPS, EVENTS = 7, 3, 60
DEPLOYMENT = deployment(CARD_SPEND, SHOP_TAKINGS)
WANTED = [Wanted("raw-data", "card", f"c{n}", CARD_SPEND.key) for n in range(CARDS)]
WANTED += [Wanted("raw-data.by-merchant", "merchant", f"m{n}", SHOP_TAKINGS.key) for n in range(SHOPS)]


class Watched(OnlineWriter):
    """A writer before and after whose every call readers look at the store."""

    def __init__(self, nodes: Nodes, readers: list[OnlineReader]) -> None:
        super().__init__(nodes)
        self.readers = readers
        self.seen: list[list[Held]] = []

    async def look(self) -> None:
        """Let every reader read everything."""
        self.seen += [await reader.read(WANTED) for reader in self.readers]

    async def take(self, slot: Slot, committed: int | None = None) -> Cursor | None:
        """Take a slot over, watched."""
        found = await super().take(slot, committed)
        await self.look()
        return found

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Write, watched."""
        await self.look()
        await super().write(slot, values, cursor, ttl_ms=ttl_ms)
        await self.look()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple["Redis", Nodes]]:
    """Open an empty store."""
    async with Redis.from_url(url) as client:
        await client.flushdb()
        nodes = Nodes(Target.of(url), seconds_max=5.0)
        try:
            yield client, nodes
        finally:
            await nodes.close()
            await client.flushdb()


async def fed(stage: Stage, first: int, end: int) -> None:
    """Let the service work off payments of every card and shop."""
    for n in range(first, end):
        await stage.send(payment(f"p{n}", f"c{n % CARDS}", n / 3, merchant=f"m{n % SHOPS}"))
    await stage.run()


async def copied(client: "Redis") -> dict[bytes, bytes]:
    """Return all that the store holds."""
    return {key: await client.get(key) for key in await client.keys("*")}


async def idle(stage: Stage) -> None:
    """Let every partition compare its store."""
    for seat in stage.bus._seats:
        await seat.idle()


@pytest.mark.parametrize("loss", ["flushed", "rolled back"])
async def test_nothing_is_fresh_before_the_rebuild_has_ended(redis_url: str, loss: str) -> None:
    """Of every read, from the loss to the end of the rebuild, what is whole is what was there before the loss."""
    url = own_database(redis_url)
    async with opened(url) as (client, nodes), OnlineReader.connect(url) as known, OnlineReader.connect(url) as new:
        stage = Stage(DEPLOYMENT, 2, OnlineWriter(nodes))
        stage.bus.batch_records_max = 3
        await fed(stage, 0, EVENTS // 2)
        older = await copied(client) if loss == "rolled back" else {}
        await fed(stage, EVENTS // 2, EVENTS)
        before = await known.read(WANTED)
        assert all(held.whole and held.value for held in before)

        await client.flushdb()
        for key, data in older.items():
            await client.set(key, data)
        assert not any(held.whole for held in await known.read(WANTED))
        with pytest.raises(Fenced):
            await idle(stage)

        watched = Watched(nodes, [known])
        stage.restart(watched)
        await stage.run()
        after = [await reader.read(WANTED) for reader in (known, new)]

    assert len(watched.seen) > 20
    partly = [read for read in watched.seen if not all(held.whole for held in read)]
    assert len(partly) > 10
    assert any(held.value and not held.whole for read in partly for held in read)
    for read in watched.seen:
        assert [was for held, was in zip(read, before, strict=True) if held.whole and held != was] == []
    assert after == [before, before]


@pytest.mark.parametrize("loss", ["flushed", "rolled back"])
async def test_a_reader_that_comes_after_the_loss_trusts_nothing_once_it_is_noticed(redis_url: str, loss: str) -> None:
    """Serving that starts meanwhile never saw the store before: what the writer left at its takeover tells it."""
    url = own_database(redis_url)
    async with (
        opened(url) as (client, nodes),
        OnlineReader.connect(url) as before_loss,
        OnlineReader.connect(url) as new,
    ):
        stage = Stage(DEPLOYMENT, 2, OnlineWriter(nodes))
        stage.bus.batch_records_max = 3
        await fed(stage, 0, EVENTS // 2)
        older = await copied(client) if loss == "rolled back" else {}
        await fed(stage, EVENTS // 2, EVENTS)
        before = await before_loss.read(WANTED)
        await client.flushdb()
        for key, data in older.items():
            await client.set(key, data)
        watched = Watched(nodes, [])
        stage.restart(watched)
        await stage.bus.seat(stage.service)
        watched.readers.append(new)
        await watched.look()
        await stage.run()
        await watched.look()

    assert not any(held.whole for held in watched.seen[0])
    for read in watched.seen:
        assert [was for held, was in zip(read, before, strict=True) if held.whole and held != was] == []
    assert watched.seen[-1] == before
