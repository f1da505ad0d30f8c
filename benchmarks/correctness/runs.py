"""One driver on one stream: fed, started, killed if the stream asks for it, and read once it stands at the end."""

import asyncio
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from benchmarks.correctness.drivers.job import PARTITIONS
from benchmarks.correctness.exact import Log
from benchmarks.correctness.programs import Driver
from benchmarks.features.programs import Place
from benchmarks.features.servers import Servers
from benchmarks.features.topics import Topics, opened

from millrace_cli.programs import start, stop, tail
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.publisher import KafkaPublisher
from millrace_common.errors import Unavailable
from millrace_common.records import Outgoing, Record
from millrace_common.topics import FEATURES, RAW_DATA

NUMBERS = itertools.count(1)
CHUNK = 500
POLL_SECONDS = 0.25
KILL_SECONDS = 2.0
KILLED_RATE = 2_500.0
"""Events a second while a driver is killed again and again, as in the matrix."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What lies on the topics in the end, how often the driver was killed, and how long it took."""

    raw: Log
    features: Log
    kills: int
    seconds: float


def ran(servers: Servers, driver: Driver, sent: Sequence[Outgoing], *, kills_max: int, seconds_max: float) -> Ran:
    """Run a driver on a stream. Raises Unavailable where it ends by itself or is not done in time."""
    return asyncio.run(_Run(servers, driver, sent, kills_max, time.monotonic() + seconds_max).whole())


class _Run:
    def __init__(
        self, servers: Servers, driver: Driver, sent: Sequence[Outgoing], kills_max: int, deadline: float
    ) -> None:
        self._place = Place(servers, f"c{next(NUMBERS)}-")
        self._topics = Topics(servers.bootstrap, self._place.prefix)
        self._driver, self._sent, self._kills_max, self._deadline = driver, sent, kills_max, deadline
        self._program = driver.program(self._place)

    async def whole(self) -> Ran:
        """Make the topics, run, read, and clear away."""
        redis = self._place.servers.redis(self._place.database)
        await self._topics.create()
        started = time.monotonic()
        try:
            kills = await (self._killed() if self._kills_max else self._undisturbed())
            seconds = time.monotonic() - started
            raw, features = [await self._log(topic) for topic in (RAW_DATA.name, FEATURES.name)]
        finally:
            redis.flushdb()
            await self._topics.delete()
        return Ran(raw, features, kills, seconds)

    async def _undisturbed(self) -> int:
        await self._feed(rate=None)
        process = start(self._program)
        try:
            await self._until_done(process)
        finally:
            stop(process)
        return 0

    async def _killed(self) -> int:
        """`kill -9` two seconds after each time that it has made rows again; then let it come to the end."""
        feeding = asyncio.create_task(self._feed(rate=KILLED_RATE))
        kills, process = 0, start(self._program)
        try:
            while kills < self._kills_max and await self._moves(process):
                await asyncio.sleep(KILL_SECONDS)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills, process = kills + 1, start(self._program)
            await feeding
            await self._until_done(process)
        finally:
            feeding.cancel()
            stop(process)
        return kills

    async def _feed(self, *, rate: float | None) -> None:
        publisher = KafkaPublisher(KafkaOptions(self._topics.bootstrap, prefix=self._place.prefix))
        began = time.monotonic()
        try:
            for first in range(0, len(self._sent), CHUNK):
                await publisher.publish(self._sent[first : first + CHUNK])
                if rate is not None:
                    await asyncio.sleep(max(began + (first + CHUNK) / rate - time.monotonic(), 0))
        finally:
            await publisher.close()

    async def _moves(self, process: subprocess.Popen[bytes]) -> bool:
        """Return True once there are more rows than now; False where there will be none as all is done."""
        async with opened(self._watcher()) as consumer:
            before = await self._end(self._topics.target, consumer)
            while not await self._is_done(consumer):
                self._check(process)
                await asyncio.sleep(POLL_SECONDS)
                if await self._end(self._topics.target, consumer) > before:
                    return True
        return False

    async def _until_done(self, process: subprocess.Popen[bytes]) -> None:
        async with opened(self._watcher()) as consumer:
            while not await self._is_done(consumer):
                self._check(process)
                await asyncio.sleep(POLL_SECONDS)

    def _watcher(self) -> AIOKafkaConsumer:
        """Return what asks for the driver's offsets; it reads nothing and is no member of the group."""
        group = self._place.prefix + self._driver.group
        return AIOKafkaConsumer(bootstrap_servers=self._topics.bootstrap, group_id=group, enable_auto_commit=False)

    async def _is_done(self, watcher: AIOKafkaConsumer) -> bool:
        """Say whether the driver has committed every event that was sent."""
        done = [await watcher.committed(TopicPartition(self._topics.source, at)) or 0 for at in range(PARTITIONS)]
        return sum(done) == len(self._sent)

    async def _end(self, topic: str, watcher: AIOKafkaConsumer) -> int:
        return sum((await self._topics.ends(topic, watcher)).values())

    def _check(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None or time.monotonic() > self._deadline:
            what = "is not done in time" if process.returncode is None else f"ended with {process.returncode}"
            raise Unavailable(f"{self._driver.name} {what}\n{tail(self._program.log)}")

    async def _log(self, topic: str) -> list[list[Record]]:
        places = [TopicPartition(self._place.prefix + topic, partition) for partition in range(PARTITIONS)]
        found: list[list[Record]] = [[] for _ in places]
        client = AIOKafkaConsumer(bootstrap_servers=self._topics.bootstrap, max_partition_fetch_bytes=8 << 20)
        async with opened(client) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(at) < ends[at] for at in places]):
                for at, records in (await consumer.getmany(timeout_ms=500)).items():
                    found[at.partition] += [
                        Record(topic, at.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp * 1_000)
                        for r in records
                    ]
        return found
