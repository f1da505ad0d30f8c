"""One Kafka prefix and one Redis database, with a features process that comes and goes."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as KafkaPartition
from redis.asyncio import Redis

from millrace.loading import load
from millrace.spec import Deployment
from millrace_cli.programs import tethered
from millrace_common.bus.admin import create_topics
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.publisher import KafkaPublisher
from millrace_common.records import Outgoing, Record
from millrace_common.topics import of_deployment

ROOT = Path(__file__).parents[3]
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
    pipeline: str
    deployment: Deployment
    partitions: int = 2
    instance: str = "0"
    """Members of one group have different ones."""
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    async def start(self, *, failpoints: str = "", batch: int = 5_000) -> None:
        """Start features as the supervisor does."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "REDIS_URL": self.redis_url,
            "MILLRACE_PIPELINES": self.pipeline,
            "MILLRACE_HOME": str(self.home),
            "MILLRACE_TOPIC_PREFIX": self.prefix,
            "MILLRACE_INSTANCE": self.instance,
            "MILLRACE_HTTP_PORT": str(self.port),
            "MILLRACE_FAILPOINTS": failpoints,
            "MILLRACE_BATCH_RECORDS_MAX": str(batch),
        }
        with (self.home / "features.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *tethered((sys.executable, "-m", "millrace_features")),
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
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

    async def status(self) -> dict[str, Any]:
        """Return what the process says of itself; not ready while it does not answer."""
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
                return dict((await client.get("/status")).json())
        except httpx.TransportError:
            return {"ready": False, "partitions": [], "counts": {}}

    async def ready(self) -> None:
        """Return once the process says that it is ready."""
        deadline = time.monotonic() + SECONDS_MAX
        while not (await self.status())["ready"]:
            assert time.monotonic() < deadline, "features does not get ready"
            await asyncio.sleep(0.1)

    async def settled(self) -> dict[str, int]:
        """Return the counts once the process stands at the end of what it reads, twice in a row."""
        topics = ("raw-data", *(f"raw-data.by-{name}" for name in self.deployment.repartitioned))
        deadline, ends, status = time.monotonic() + SECONDS_MAX, dict[str, int](), dict[str, Any]()
        while time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            found = {topic: await self.end_of(topic) for topic in topics}
            status = await self.status()
            reached = {
                topic: sum(p["position"] for p in status["partitions"] if p["topic"] == topic) for topic in topics
            }
            if status["ready"] and reached == found == ends:
                return dict(status["counts"])
            ends = found
        raise AssertionError((status, ends))

    async def end_of(self, topic: str) -> int:
        """Return how many records a topic has had."""
        ats = [KafkaPartition(self.prefix + topic, partition) for partition in range(self.partitions)]
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

    async def stored(self) -> dict[str, bytes]:
        """Return everything in Redis."""
        keys = await self.redis.keys("*")
        return dict(zip((key.decode() for key in keys), await self.redis.mget(keys), strict=True)) if keys else {}


@asynccontextmanager
async def opened_world(
    pipeline: str, home: Path, *, kafka_bootstrap: str, redis_url: str, prefix: str, partitions: int = 2
) -> AsyncIterator[World]:
    """Yield a world with its topics, on database 4 of a Redis; leave nothing in that."""
    url, deployment = redis_url.rsplit("/", 1)[0] + "/4", load([pipeline])
    publisher = KafkaPublisher(KafkaOptions(kafka_bootstrap, prefix=prefix))
    async with Redis.from_url(url) as redis:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        world = World(kafka_bootstrap, url, prefix, home, publisher, redis, consumer, pipeline, deployment, partitions)
        await redis.flushdb()
        await create_topics(
            kafka_bootstrap, of_deployment(deployment.repartitioned), prefix=prefix, partitions=partitions
        )
        try:
            yield world
        finally:
            await world.end(signal.SIGKILL)
            await publisher.close()
            await consumer.stop()
            await redis.flushdb()
