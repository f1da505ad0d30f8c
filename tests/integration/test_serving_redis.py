"""Features from a real Redis, there, gone, and back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from tests.fakes.serving.declared import MERCHANT, MODEL
from tests.fakes.serving.models import artifact
from tests.fakes.serving.stage import Stage, staged
from tests.fakes.serving.stored import SET, stored_merchant

from millrace_common.keys import partition_of
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.slots import META_KEY, Cursor, Slot

PATH = f"/v1/models/{MODEL}/predict"
AT_US = 1_700_000_000_000_000
ASK = {"entities": {"card": "4929", "merchant": "shop"}, "fields": {"amount": 1.0}, "at": AT_US // 1_000}
PARTITIONS = 4
SLOT = Slot("raw-data.by-merchant", "merchant", partition_of("shop", PARTITIONS), SET)
CARD_SLOT = Slot("raw-data", "card", partition_of("4929", PARTITIONS), SET)
KEY = SLOT.value_key("shop", MERCHANT.key)


@pytest.fixture
def url(redis_url: str) -> str:
    """A database of our own."""
    return redis_url.rsplit("/", 1)[0] + "/7"


@asynccontextmanager
async def filled(url: str) -> AsyncIterator[None]:
    """Let the features service's writer store four events of a merchant; take them away after."""
    keys = (META_KEY, SLOT.cursor_key, CARD_SLOT.cursor_key, KEY)
    async with Redis.from_url(url) as client:
        await client.delete(*keys)
        async with OnlineWriter.connect(url) as writer:
            await writer.claim(PARTITIONS)
            await writer.take(CARD_SLOT)
            await writer.take(SLOT)
            await writer.write(SLOT, {KEY: stored_merchant(4, AT_US)}, Cursor(42, {}))
        try:
            yield
        finally:
            await client.delete(*keys)


@dataclass(slots=True)
class Wire:
    """A line to Redis that can be cut or stopped up."""

    port: int
    target: tuple[str, int]
    cut: bool = False
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    delay_seconds: float = 0.0
    ends: set[asyncio.StreamWriter] = field(default_factory=set)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one caller with Redis."""
        if self.cut:
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection(*self.target)
        self.ends |= {writer, back_writer}
        await asyncio.gather(self.pump(reader, back_writer), self.pump(back_reader, writer))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way."""
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay_seconds)
                await self.flows.wait()
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def break_off(self) -> None:
        """Refuse new connections and end the ones there are."""
        self.cut = True
        for end in self.ends:
            end.close()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, OnlineReader]]:
    """Yield a reader behind a wire."""
    place = url.removeprefix("redis://").split("/")[0]
    wire = Wire(0, (place.split(":")[0], int(place.split(":")[1])))
    wire.flows.set()
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with OnlineReader.connect(f"redis://127.0.0.1:{port}/7") as reader:
        yield wire, reader
    wire.break_off()
    server.close()
    await server.wait_closed()


async def asked(stage: Stage) -> tuple[list[str], float | None, float]:
    """Return an answer's flags, the merchant's count, and the seconds it took."""
    async with stage.client() as client:
        start = time.perf_counter()
        response = await client.post(PATH, json=ASK)
        took = time.perf_counter() - start
    assert response.status_code == 200, response.text
    answer = response.json()
    return answer["flags"], answer["features"]["merchant_n_24h"], took


async def test_predict_reads_what_the_features_service_wrote(url: str) -> None:
    """One layout of keys and bytes on both sides of Redis."""
    async with filled(url), OnlineReader.connect(url) as reader:
        stage = await staged(online=reader)
        await stage.promote_new("1", artifact(0.0))
        flags, count, _ = await asked(stage)

    assert (flags, count) == (["missing"], 4.0)


@pytest.mark.parametrize("how", ["cut", "stopped", "slow"])
async def test_redis_may_go_away_and_come_back(url: str, how: str) -> None:
    """While it is gone each answer is flagged and takes no longer than its time; afterwards values are back."""
    async with filled(url), wired(url) as (wire, reader):
        stage = await staged(online=reader)
        await stage.promote_new("1", artifact(0.0))
        before = await asked(stage)
        if how == "cut":
            wire.break_off()
        else:
            wire.delay_seconds = 0.2
            if how == "stopped":
                wire.flows.clear()
        gone = [await asked(stage) for _ in range(3)]
        wire.cut, wire.delay_seconds = False, 0.0
        wire.flows.set()
        for _ in range(50):
            after = await asked(stage)
            if "store-unavailable" not in after[0]:
                break
            await asyncio.sleep(0.1)

    assert before[:2] == after[:2] == (["missing"], 4.0)
    assert [(flags, count) for flags, count, _ in gone] == [(["store-unavailable"], None)] * 3
    assert max(took for _, _, took in gone) < 1.0
