"""Features as a process of its own, on a real Kafka and a real Redis."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as KafkaPartition
from redis.asyncio import Redis
from tests.unit.oracles.held import hold_all

from millrace.loading import load
from millrace.spec import Deployment
from millrace_common.bus.admin import create_topics
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.publisher import KafkaPublisher
from millrace_common.codec import decode
from millrace_common.errors import EXIT_CRASH
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Label
from millrace_common.records import Headers, Outgoing, Record
from millrace_common.topics import of_deployment

ROOT = Path(__file__).parents[2]
PIPELINE = "tests/fakes/features/pipeline.py:PIPELINE"
PARTITIONS = 2
SECONDS_MAX = 60


@dataclass
class World:
    """One Kafka prefix and one Redis database, with a features process that comes and goes."""

    bootstrap: str
    redis_url: str
    prefix: str
    home: Path
    publisher: KafkaPublisher
    redis: Any
    consumer: AIOKafkaConsumer
    deployment: Deployment = field(default_factory=lambda: load([PIPELINE]))
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    async def start(self, *, failpoints: str = "", batch: int = 5_000) -> None:
        """Start features as the supervisor does."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "REDIS_URL": self.redis_url,
            "MILLRACE_PIPELINES": PIPELINE,
            "MILLRACE_HOME": str(self.home),
            "MILLRACE_TOPIC_PREFIX": self.prefix,
            "MILLRACE_HTTP_PORT": str(self.port),
            "MILLRACE_FAILPOINTS": failpoints,
            "MILLRACE_BATCH_RECORDS_MAX": str(batch),
        }
        with (self.home / "features.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "millrace_features", cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    async def end(self, number: int = signal.SIGTERM) -> int:
        """End the process; return its exit status."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        status, self.process = await asyncio.wait_for(self.process.wait(), SECONDS_MAX), None
        return status

    async def died(self) -> int:
        """Wait for the process to end by itself."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), SECONDS_MAX)

    async def settled(self, topics: Sequence[str] = ("raw-data", "raw-data.by-merchant")) -> dict[str, int]:
        """Return the counts once the process stands at the end of what it reads, twice in a row."""
        deadline, ends, status = time.monotonic() + SECONDS_MAX, dict[str, int](), dict[str, Any]()
        while time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            found = {topic: await self.end_of(topic) for topic in topics}
            try:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
                    status = (await client.get("/status")).json()
            except httpx.TransportError:
                continue
            reached = {
                topic: sum(p["position"] for p in status["partitions"] if p["topic"] == topic) for topic in topics
            }
            if status["ready"] and reached == found == ends:
                return dict(status["counts"])
            ends = found
        raise AssertionError((status, ends))

    async def end_of(self, topic: str) -> int:
        """Return how many records a topic has had."""
        ats = [KafkaPartition(self.prefix + topic, partition) for partition in range(PARTITIONS)]
        return sum((await self.consumer.end_offsets(ats)).values())

    async def send(self, *events: Outgoing) -> None:
        """Publish to raw-data."""
        await self.publisher.publish(events)

    async def log(self, topic: str) -> list[list[Record]]:
        """Return everything on a topic, by partition."""
        name = self.prefix + topic
        count = await self.publisher.partitions(topic)
        ats = [KafkaPartition(name, partition) for partition in range(count)]
        self.consumer.assign(ats)
        found: list[list[Record]] = [[] for _ in ats]
        for at, end in (await self.consumer.end_offsets(ats)).items():
            self.consumer.seek(at, 0)
            while await self.consumer.position(at) < end:
                for r in (await self.consumer.getmany(at, timeout_ms=200)).get(at, ()):
                    stamp = r.timestamp * 1_000
                    record = Record(topic, at.partition, r.offset, r.key, r.value, tuple(r.headers), stamp)
                    found[at.partition].append(record)
        return found

    async def records(self, topic: str) -> list[Record]:
        """Return everything on a topic."""
        return [record for log in await self.log(topic) for record in log]

    async def hold(self) -> int:
        """Assert that rows, copies and store are those of the slow fold; return how many rows there are."""
        raw, side, features = [await self.log(t) for t in ("raw-data", "raw-data.by-merchant", "features")]
        keys = await self.redis.keys("*")
        store = dict(zip((key.decode() for key in keys), await self.redis.mget(keys), strict=True))
        return hold_all(raw, side, features, store, self.deployment)


Opened = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def opened(kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Opened:
    """What opens a world of the test's own."""

    @asynccontextmanager
    async def open_world() -> AsyncIterator[World]:
        url = redis_url.rsplit("/", 1)[0] + "/4"
        publisher = KafkaPublisher(KafkaOptions(kafka_bootstrap, prefix=topic_prefix))
        async with Redis.from_url(url) as redis:
            consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
            await consumer.start()
            world = World(kafka_bootstrap, url, topic_prefix, tmp_path, publisher, redis, consumer)
            await redis.flushdb()
            topics = of_deployment(world.deployment.repartitioned)
            await create_topics(kafka_bootstrap, topics, prefix=topic_prefix, partitions=PARTITIONS)
            try:
                yield world
            finally:
                await world.end(signal.SIGKILL)
                await publisher.close()
                await consumer.stop()
                await redis.flushdb()

    return open_world


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
        counts, rows = await world.settled(), await world.hold()
        assert rows > 600
        published = len(await world.records("features"))
        assert published > rows or counts["replayed"] > 0, "nothing was replayed: the run proves nothing"
        await world.redis.flushdb()
        assert await world.died() == EXIT_CRASH
        await world.start()
        await world.settled()
        assert await world.hold() == rows
        assert len(await world.records("features")) == published
        assert await world.end() == 0
