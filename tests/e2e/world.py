"""A running platform as a test sees it: its logs, its store, its processes, and when it has come to rest."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as KafkaPartition
from deltalake import DeltaTable
from redis.asyncio import Redis
from tests.e2e.checks import Seen

from millrace.loading import load
from millrace.spec import Deployment
from millrace_cli.commands.status import Report, report_of
from millrace_cli.home import Endpoints, Home
from millrace_common.bus import admin
from millrace_common.bus.fetching import records_of
from millrace_common.records import Record, TopicPartition
from millrace_common.topics import of_deployment

POLL_SECONDS = 0.1
FETCH_MS = 1_000
CALM_SECONDS = 3.0
SCAN_KEYS = 2_000


@dataclass(frozen=True)
class World:
    """One platform. Reads its topics with a consumer of no group."""

    home: Home
    endpoints: Endpoints
    deployment: Deployment
    partitions: Mapping[str, int]
    """Of each topic."""
    consumer: AIOKafkaConsumer
    redis: Any
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds that each stage of a scenario took."""
    began: float = field(default_factory=time.monotonic)

    def stage(self, ended: str) -> None:
        """Note how long a stage took that ends now."""
        self.stages[ended] = round(time.monotonic() - self.began - sum(self.stages.values()), 1)

    # --- logs and store ----------------------------------------------------------------------------------------------
    async def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition."""
        found = await self.consumer.end_offsets(self._places(topic))
        return {place.partition: end for place, end in found.items()}

    async def size(self, topic: str) -> int:
        """Return how many records a topic has had."""
        return sum((await self.ends(topic)).values())

    async def log(self, topic: str) -> list[list[Record]]:
        """Return everything on a topic, by partition."""
        places = self._places(topic)
        self.consumer.assign(places)
        await self.consumer.seek_to_beginning(*places)
        found: list[list[Record]] = [[] for _ in places]
        for place, end in (await self.consumer.end_offsets(places)).items():
            at = TopicPartition(topic, place.partition)
            while await self.consumer.position(place) < end:
                fetched = await self.consumer.getmany(place, timeout_ms=FETCH_MS)
                found[place.partition] += records_of(at, fetched.get(place, ()))
        return found

    async def records(self, topic: str) -> list[Record]:
        """Return everything on a topic, partition after partition."""
        return [record for records in await self.log(topic) for record in records]

    async def seen(self, accepted: Sequence[tuple[int, int, str]]) -> Seen:
        """Return everything there is; `accepted` are the places that ingest has answered with 202."""
        logs = {topic: await self.log(topic) for topic in self.partitions}
        rows = DeltaTable(str(self.home.folder / "trainer" / "rows")).to_pyarrow_table(columns=["partition", "offset"])
        kept = list(zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True))
        return Seen(self.deployment, logs, await self.store(), kept, accepted)

    async def store(self) -> dict[str, bytes]:
        """Return everything in Redis."""
        keys = [key async for key in self.redis.scan_iter(count=SCAN_KEYS)]
        keys = sorted(set(keys))
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), SCAN_KEYS):
            part = keys[first : first + SCAN_KEYS]
            values = await self.redis.mget(part)
            found |= {key.decode(): value for key, value in zip(part, values, strict=True)}
        return found

    def _places(self, topic: str) -> list[KafkaPartition]:
        return [KafkaPartition(topic, n) for n in range(self.partitions[topic])]

    # --- processes ---------------------------------------------------------------------------------------------------
    def report(self) -> Report:
        """Return what `millrace status` says."""
        return report_of(self.home)

    def restarts(self) -> dict[str, int]:
        """Return how often each service was started again."""
        return {name: process.restarts for name, process in self._processes().items()}

    def is_running(self, service: str, *, restarts: int) -> bool:
        """Say whether a service has a process after so many restarts, ready or not."""
        process = self._processes()[service]
        return process.restarts >= restarts and process.pid is not None

    def counts(self, service: str) -> dict[str, int]:
        """Return what a service says that it did; nothing while it does not answer."""
        answers = {process.name: process.answer for process in self.report().processes}
        return dict((answers.get(service) or {}).get("counts", {}))

    def kill(self, *services: str) -> None:
        """`kill -9` the processes of services."""
        for process in [self._processes()[service] for service in services]:
            assert process.pid is not None, f"{process.name} is not running: {process.reason}"
            os.kill(process.pid, signal.SIGKILL)

    async def restarted(self, before: Mapping[str, int], *services: str, seconds_max: float = 180.0) -> None:
        """Return when services were started again since `before` and say that they are ready."""

        def are_back() -> bool:
            now = self._processes()
            return all(now[name].restarts > before[name] and now[name].state == "ready" for name in services)

        await until(are_back, f"{', '.join(services)} back", seconds_max=seconds_max)

    def _processes(self) -> dict[str, Any]:
        status = self.home.status()
        assert status is not None
        return {process.name: process for process in status.processes if process.name in self.endpoints.services}

    # --- rest --------------------------------------------------------------------------------------------------------
    async def grown(self, topic: str, *, by: int = 1, seconds_max: float = 120.0) -> None:
        """Return as soon as a topic has grown."""
        size = await self.size(topic)
        deadline = time.monotonic() + seconds_max
        while await self.size(topic) < size + by:
            assert time.monotonic() < deadline, f"{topic} does not grow; see {self.home.logs}"
            await asyncio.sleep(0)

    async def quiet(self, topics: Sequence[str] = (), *, seconds_max: float = 240.0) -> None:
        """Return when all services are ready, stand at the end of what they read, and nothing is added any more.

        `topics`: those that must not grow; by default all but drift-alerts, which may say things at any time.
        """
        watched = topics or [topic for topic in self.partitions if topic != "drift-alerts"]
        deadline, calm_since, seen = time.monotonic() + seconds_max, time.monotonic(), dict[str, dict[int, int]]()
        while time.monotonic() - calm_since < CALM_SECONDS:
            assert time.monotonic() < deadline, f"no rest: {self._behind(seen)}; see {self.home.logs}"
            ends = {topic: await self.ends(topic) for topic in watched}
            if ends != seen or self._behind(ends):
                seen, calm_since = ends, time.monotonic()
            await asyncio.sleep(POLL_SECONDS)

    def _behind(self, ends: Mapping[str, Mapping[int, int]]) -> list[str]:
        """Return what is not ready, or not at the end."""
        report = self.report()
        behind = [f"{p.name} is {p.state}" for p in report.processes if p.state != "ready"]
        for process in report.processes:
            if process.name not in self.endpoints.services:
                continue
            if process.answer is None:
                behind.append(f"{process.name} does not answer")
            for place in (process.answer or {}).get("partitions", ()):
                end = ends.get(place["topic"], {}).get(place["partition"], 0)
                if place["position"] < end:
                    behind.append(f"{process.name} at {place}")
        return behind


@asynccontextmanager
async def opened(home: Home, endpoints: Endpoints) -> AsyncIterator[World]:
    """Yield a platform that runs."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=endpoints.kafka_bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        deployment = load(endpoints.pipelines)
        topics = [topic.name for topic in of_deployment(deployment.repartitioned)]
        partitions = await admin.partitions(endpoints.kafka_bootstrap_servers, topics)
        async with Redis.from_url(endpoints.redis_url) as redis:
            yield World(home, endpoints, deployment, partitions, consumer, redis)
    finally:
        await consumer.stop()


async def until(holds: Callable[[], bool], what: str, *, seconds_max: float) -> None:
    """Return once something holds; AssertionError when it takes too long."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds_max:g} s: {what}"
        await asyncio.sleep(POLL_SECONDS)
