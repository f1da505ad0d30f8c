"""Features as a process of its own, on a real Kafka and a real Redis."""

import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.fakes.features.world import World, opened_world
from tests.unit.oracles.held import hold_all

from millrace_common.codec import decode
from millrace_common.errors import EXIT_CRASH
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Label
from millrace_common.records import Headers, Outgoing

PIPELINE = "tests/fakes/features/pipeline.py:PIPELINE"
PARTITIONS = 2

Opened = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def opened(kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Opened:
    """What opens a world of the test's own."""
    return lambda: opened_world(
        PIPELINE, tmp_path, kafka_bootstrap=kafka_bootstrap, redis_url=redis_url, prefix=topic_prefix
    )


async def hold(world: World) -> int:
    """Assert that rows, copies and store are those of the slow fold; return how many rows there are."""
    raw, side, features = [await world.log(t) for t in ("raw-data", "raw-data.by-merchant", "features")]
    return hold_all(raw, side, features, await world.stored(), world.deployment)


def payment(
    number: int, card: str, ts_ms: int, *, partition: int | None = None, headers: Headers = (), **fields: object
) -> Outgoing:
    """Return a payment as a producer sends it: keyed, or put wherever `partition` says without a key."""
    value = {
        "payment_id": f"p{number}",
        "card": card,
        "merchant": f"m{number % 3}",
        "amount": 1.5,
        "ts": ts_ms,
        **fields,
    }
    typed: Headers = (("ce_type", b"payment"), *headers)
    return Outgoing("raw-data", None if partition is not None else card.encode(), dumped(value), typed, partition)


def dumped(value: dict[str, object]) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


async def test_every_kind_of_record_has_its_outcome(opened: Opened) -> None:
    """Misplaced, without a key, doubled, late, broken, parked, a label: each ends where it is said to."""
    now = time.time_ns() // 1_000_000
    async with opened() as world:
        await world.start()
        home = partition_of("c1", PARTITIONS)
        plain = {"type": "payment", "payment_id": "p9", "card": "c1", "merchant": "m", "amount": 2.0, "ts": now}
        await world.send(
            payment(1, "c1", now),
            payment(1, "c1", now),
            payment(2, "c1", now - 11_000),
            payment(3, "c1", now, partition=1 - home),
            Outgoing("raw-data", None, dumped(plain), (), home),
            payment(4, "c1", now, amount="much"),
            payment(5, "c1", now + 3_600_000),
            payment(6, "c1", now, headers=(("ce_dataschema", b"payment/7"),)),
            Outgoing("raw-data", b"c1", b"\xff\xfe", (("ce_type", b"payment"),)),
            Outgoing("raw-data", b"p1", dumped({"payment_id": "p1", "ts": now}), (("ce_type", b"chargeback"),)),
        )
        counts = await world.settled()
        messages = [decode(record) for record in await world.records("features")]
        spine = [m for m in messages if isinstance(m, FeatureRow) and m.spine]
        assert sorted(row.event_id for row in spine) == ["p1", "p3", "p9"]
        assert {row.source.partition for row in spine} == {home}
        assert [(m.key, m.value) for m in messages if isinstance(m, Label)] == [("p1", True)]
        dead = await world.records("raw-data.dlq")
        assert sorted(str(record.header("millrace-reason")) for record in dead) == ["future", "not-json", "wrong-type"]
        assert {record.header("millrace-source-topic") for record in dead} == {"raw-data"}
        assert len(await world.records("raw-data.late")) == len(await world.records("raw-data.parked")) == 1
        results = ("rows", "labels", "dead", "late", "duplicates", "parked", "moved")
        assert [counts.get(result, 0) for result in results] == [3, 1, 3, 1, 1, 1, 1]
        assert counts["in"] == sum(counts[result] for result in results)
        assert await world.end() == 0


def payments(rng: random.Random, now_ms: int, n: int) -> list[Outgoing]:
    """Return payments, some of them doubled, late, or in any partition."""
    events = []
    for i in range(n):
        number = i if rng.random() > 0.1 else rng.randint(0, i)
        ts_ms = now_ms + i - rng.choice([0, 0, 0, 20_000])
        partition, amount = rng.choice([None, None, None, 0, 1]), rng.choice([0.1, 0.7, 9.3])
        events.append(payment(number, f"c{number % 10}", ts_ms, amount=amount, partition=partition))
    return events


async def test_a_killed_process_counts_each_event_once(opened: Opened) -> None:
    """kill -9 after publish, after state, before commit; an emptied Redis: rows once by effect, Redis a slow fold."""
    events = payments(random.Random(7), time.time_ns() // 1_000_000, 800)
    async with opened() as world:
        for first, failpoints in enumerate(("published:3", "applied:9", "committing:5", "")):
            await world.start(failpoints=failpoints, batch=20)
            await world.send(*events[first * 200 : first * 200 + 200])
            if failpoints:
                assert await world.died() == -signal.SIGKILL
        counts, rows = await world.settled(), await hold(world)
        assert rows > 600
        published = len(await world.records("features"))
        assert published > rows or counts["replayed"] > 0, "nothing was replayed: the run proves nothing"
        await world.redis.flushdb()
        assert await world.died() == EXIT_CRASH
        await world.start()
        await world.settled()
        assert await hold(world) == rows
        assert len(await world.records("features")) == published
        assert await world.end() == 0
