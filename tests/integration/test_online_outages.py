"""The online store on a Redis that goes away, hangs, is full, must not be written or must not be used."""

import asyncio
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError
from tests.fakes.redis_servers import Server, served, until

from millrace_common.errors import Fenced, Misconfigured, Unavailable
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.slots import Cursor, Slot, Wanted

SLOT = Slot("raw-data", "card", 3, "0badcafe")
GROUP = "Spend@01234567"
KEY = SLOT.value_key("c1", GROUP)
WANTED = [Wanted("raw-data", "card", "c1", GROUP)]


def value(offset: int, size: int = 0) -> bytes:
    """Return bytes with the two places that a guarded write compares."""
    return struct.pack("<BBH4sq", 0xF5, 1, 0, bytes.fromhex(SLOT.set), offset) + bytes(size)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own."""
    with served(tmp_path) as server:
        yield server


async def test_a_redis_that_is_gone_for_a_while_is_waited_for(server: Server) -> None:
    """Loads and writes are tried again until Redis is back; nothing is lost, nothing is applied twice."""
    async with OnlineWriter.connect(server.url) as writer:
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        server.kill()
        load = asyncio.create_task(writer.load(SLOT, [KEY]))
        await asyncio.sleep(1.0)
        assert not load.done()
        server.start()
        assert await load == [value(5)]
        server.kill()
        write = asyncio.create_task(writer.write(SLOT, {KEY: value(7)}, Cursor(8, {})))
        await asyncio.sleep(1.0)
        server.start()
        await write
        assert await writer.load(SLOT, [KEY]) == [value(7)]


async def test_a_redis_that_stays_away_is_unavailable(server: Server) -> None:
    """After the stated time the error is ours, so that the process ends with 70 and is started again."""
    async with (
        OnlineWriter.connect(server.url, retry_seconds_max=0.5) as writer,
        OnlineReader.connect(server.url) as reader,
    ):
        await writer.claim(4)
        await writer.take(SLOT)
        await reader.read(WANTED)
        server.kill()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await writer.load(SLOT, [KEY])
        with pytest.raises(Unavailable, match="cannot be reached"):
            await reader.read(WANTED)
        server.start()
        await server.answers()
        assert await writer.load(SLOT, [KEY]) == [None]
        assert [held.whole for held in await reader.read(WANTED)] == [True]


async def test_a_redis_that_hangs_costs_no_more_than_the_deadline(server: Server) -> None:
    """A connection that stands and is silent is given up in time, by the writer and by the reader, and not reused."""
    async with (
        OnlineWriter.connect(server.url, retry_seconds_max=1.0, call_seconds_max=0.4) as writer,
        OnlineReader.connect(server.url, call_seconds_max=0.2) as reader,
    ):
        await writer.claim(4)
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        assert (await reader.read(WANTED))[0].value == value(5)
        server.stop()
        try:
            start = time.perf_counter()
            with pytest.raises(Unavailable, match=r"gave no answer|did not take a connection"):
                await reader.read(WANTED)
            assert time.perf_counter() - start < 1.0
            with pytest.raises(Unavailable, match=r"gave no answer|did not take a connection"):
                await writer.write(SLOT, {KEY: value(7)}, Cursor(8, {}))
            assert time.perf_counter() - start < 3.0
        finally:
            server.go_on()
        await server.answers()
        landed = (await reader.read(WANTED))[0].value
        assert landed in (value(5), value(7)), "the call that was given up may have been applied, but nothing else"
        await writer.write(SLOT, {KEY: value(7)}, Cursor(8, {})) if landed == value(5) else await writer.take(SLOT)
        assert await writer.load(SLOT, [KEY]) == [value(7)]


async def test_whoever_gives_up_leaves_no_answer_to_the_next(server: Server) -> None:
    """A read that its caller cancelled is answered to nobody: the next one gets its own values."""
    async with OnlineWriter.connect(server.url) as writer, OnlineReader.connect(server.url) as reader:
        await writer.claim(4)
        slots = [Slot("raw-data", "card", partition, SLOT.set) for partition in range(4)]
        for slot in slots:
            await writer.take(slot)
            await writer.write(slot, {slot.value_key(f"c{n}", GROUP): value(n) for n in range(40)}, Cursor(41, {}))
        assert (await reader.read(WANTED))[0].value == value(1)
        server.stop()
        try:
            for n in range(2, 20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.005):
                        await reader.read([WANTED[0]._replace(entity_id=f"c{n}")])
        finally:
            server.go_on()
        answers = await asyncio.gather(*(reader.read([WANTED[0]._replace(entity_id=f"c{n}")]) for n in range(40)))
        assert [found[0].value for found in answers] == [value(n) for n in range(40)]


async def test_a_full_redis_is_waited_for_and_then_named(tmp_path: Path) -> None:
    """A full Redis refuses writes: nothing of a call lands, and once there is room it goes on as if nothing was."""
    with served(tmp_path, "--maxmemory-policy", "noeviction") as server:
        await server.answers()
        async with OnlineWriter.connect(server.url, retry_seconds_max=0.5) as writer:
            await writer.take(SLOT)
            await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
            server.ask("CONFIG", "SET", "maxmemory", "1mb")
            many = {SLOT.value_key(f"c{n}", GROUP): value(7, 4_000) for n in range(500)}
            with pytest.raises(Unavailable, match="Redis is full: give it more memory"):
                await writer.write(SLOT, many, Cursor(8, {}))
            assert server.ask("DBSIZE") == 2
            assert await writer.load(SLOT, [KEY]) == [value(5)]
            server.ask("CONFIG", "SET", "maxmemory", "0")
            await writer.write(SLOT, many, Cursor(8, {}))
            assert await writer.load(SLOT, [KEY]) == [value(7, 4_000)]


async def test_a_replica_is_not_written_and_is_read(tmp_path: Path) -> None:
    """A URL that names a replica is told by the writer; readers may use it."""
    with served(tmp_path / "primary") as primary, served(tmp_path / "replica") as replica:
        await primary.answers()
        await replica.answers()
        async with OnlineWriter.connect(primary.url) as writer:
            await writer.claim(4)
            await writer.take(SLOT)
            await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        replica.ask("REPLICAOF", "127.0.0.1", primary.port)
        await until(lambda: replica.ask("DBSIZE") == 3)
        async with OnlineWriter.connect(replica.url, retry_seconds_max=0.3) as writer:
            with pytest.raises(Unavailable, match="a replica: point it at the primary"):
                await writer.claim(4)
            with pytest.raises(Unavailable, match="a replica: point it at the primary"):
                await writer.take(SLOT, 9)
        async with OnlineReader.connect(replica.url) as reader:
            assert await reader.read([WANTED[0]]) is not None


async def test_a_flushed_redis_fences_its_writer_and_is_not_whole(server: Server) -> None:
    """R11: the next access finds the record gone; a reader trusts nothing until the rebuild has caught up."""
    async with (
        OnlineWriter.connect(server.url) as writer,
        OnlineWriter.connect(server.url) as successor,
        OnlineReader.connect(server.url) as reader,
    ):
        await writer.claim(1)
        slot = Slot("raw-data", "card", 0, SLOT.set)
        await writer.take(slot)
        await writer.write(slot, {slot.value_key("c1", GROUP): value(5)}, Cursor(6, {}))
        assert [held.whole for held in await reader.read(WANTED)] == [True]
        server.ask("FLUSHALL")
        assert [held.whole for held in await reader.read(WANTED)] == [False]
        for access in (writer.check(slot), writer.load(slot, [KEY]), writer.write(slot, {}, Cursor(7, {}))):
            with pytest.raises(Fenced):
                await access
        await successor.claim(1)
        assert await successor.take(slot, 6) is None
        for offset, whole in ((2, False), (5, False), (5, True)):
            assert [held.whole for held in await reader.read(WANTED)] == [False]
            await successor.write(slot, {slot.value_key("c1", GROUP): value(offset)}, Cursor(offset + whole, {}))
        assert [(held.value, held.whole) for held in await reader.read(WANTED)] == [(value(5), True)]


async def test_scripts_that_redis_forgot_are_sent_again(server: Server) -> None:
    """A restart or SCRIPT FLUSH costs one more call, nothing else."""
    async with OnlineWriter.connect(server.url) as writer:
        await writer.take(SLOT)
        for offset in (5, 6):
            server.ask("SCRIPT", "FLUSH")
            await writer.write(SLOT, {KEY: value(offset)}, Cursor(offset + 1, {}))
            server.ask("SCRIPT", "FLUSH")
            assert await writer.load(SLOT, [KEY]) == [value(offset)]


async def test_values_expire_together_and_their_cursor_never(server: Server) -> None:
    """R14: an entity that was idle for its retention leaves at one moment, whole; the cursor record stays."""
    horizon = SLOT.horizon_key("c1")
    async with OnlineWriter.connect(server.url) as writer:
        await writer.take(SLOT)
        await writer.write(SLOT, {horizon: value(5), KEY: value(5)}, Cursor(6, {}), ttl_ms=60_000)
        first, second = (server.ask("PTTL", key) for key in (horizon, KEY))
        assert 59_000 < first <= 60_000
        assert abs(first - second) < 50
        assert server.ask("PTTL", SLOT.cursor_key) == -1
        await writer.write(SLOT, {KEY: value(6)}, Cursor(7, {}))
        assert server.ask("PTTL", KEY) == -1
        await writer.write(SLOT, {horizon: value(8), KEY: value(8)}, Cursor(9, {}), ttl_ms=200)
        assert await writer.load(SLOT, [horizon, KEY]) == [value(8), value(8)]
        await until(lambda: not server.ask("EXISTS", horizon, KEY))
        assert await writer.load(SLOT, [horizon, KEY]) == [None, None]
        await writer.check(SLOT)


async def test_a_store_that_evicts_is_refused(tmp_path: Path) -> None:
    """State that may vanish key by key is no state: another policy than noeviction is refused, with the mend."""
    with (
        served(tmp_path, "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb") as server,
        pytest.raises(Misconfigured, match="set maxmemory-policy noeviction"),
    ):
        async with OnlineWriter.connect(server.url):
            pass


async def test_other_partitions_are_refused_with_the_way_to_migrate(server: Server) -> None:
    """The text says what to stop, what to empty and how to go back; the store is not touched."""
    async with OnlineWriter.connect(server.url) as writer:
        await writer.claim(4)
        with pytest.raises(Misconfigured, match="4 partitions, raw-data has 8") as refused:
            await writer.claim(8)
        for step in ("stop features", "empty store", "stale until then", "give raw-data 4 partitions again"):
            assert step in str(refused.value)
        await writer.claim(4)


async def test_a_password_that_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    """Waiting does not help there: it is a mistake in a setting, and its text names which."""
    with served(tmp_path, "--requirepass", "right") as server:
        await until(lambda: "NOAUTH" in _refusal(server))
        with pytest.raises(Misconfigured, match="put it into REDIS_URL"):
            async with OnlineWriter.connect(server.url):
                pass
        with pytest.raises(Misconfigured, match="name or the password in REDIS_URL"):
            async with OnlineWriter.connect(server.url.replace("redis://", "redis://:wrong@")):
                pass
        async with OnlineWriter.connect(server.url.replace("redis://", "redis://:right@")) as writer:
            await writer.claim(4)


def _refusal(server: Server) -> str:
    try:
        server.ask("PING")
    except AuthenticationError:
        return "NOAUTH"
    return ""
