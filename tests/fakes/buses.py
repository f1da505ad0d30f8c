"""The three buses behind one face, for the suite that all of them must pass."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from millrace_common.bus.admin import create_topics
from millrace_common.bus.faust import FaustBus
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.memory import MemoryBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import SystemClock
from millrace_common.errors import Fenced
from millrace_common.failpoints import Failpoints
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import Outcome, Service
from millrace_common.settle import Settler
from millrace_common.topics import Topic

BATCH_RECORDS_MAX = 50
TOPICS = {"in": 2, "out": 2, "log": 1, "features": 1, "features.dlq": 1, "beats": 1, "job-ends": 1}
SECONDS_MAX = 60.0
PLACES = (TopicPartition("in", 0), TopicPartition("in", 1))

AnyBus = MemoryBus | KafkaBus


class Killed(BaseException):
    """Stands for a kill -9 at a failpoint."""


def _die() -> None:
    raise Killed


@asynccontextmanager
async def running(bus: AnyBus, service: Service) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a service until the block ends, then stop it as a signal would."""
    task = asyncio.create_task(bus.run(service))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(done: Callable[[], bool], task: "asyncio.Task[None] | None" = None) -> None:
    """Wait until `done`, or raise what the task raised, or a TimeoutError."""
    async with asyncio.timeout(SECONDS_MAX):
        while not done():
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.01)


async def eventually(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `done` says so, or raise TimeoutError."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            if await done():
                return
            await asyncio.sleep(0.2)


class MemoryRig:
    """The bus in memory: a new process finds the same logs and offsets."""

    def __init__(self) -> None:
        self.bus = MemoryBus(SystemClock(), TOPICS, batch_records_max=BATCH_RECORDS_MAX)

    async def open(self) -> None:
        """There is nothing to create."""

    @asynccontextmanager
    async def process(self, **failpoints: int) -> AsyncIterator[MemoryBus]:
        """Yield the bus with these failpoints."""
        self.bus.settler = Settler(self.bus, Failpoints(failpoints, die=_die))
        yield self.bus

    async def publish(self, records: list[Outgoing]) -> None:
        """Put records on a topic from outside."""
        await self.bus.publish(records)

    async def records(self, topic: str) -> list[Record]:
        """Return what lies on a topic, partition by partition."""
        return [record for log in self.bus.log[topic] for record in log]

    async def committed(self, service: str, at: TopicPartition) -> int | None:
        """Return what a service has committed."""
        return self.bus.committed.get((service, at))


class KafkaRig:
    """A bus on Kafka, `kind` with aiokafka or Faust."""

    def __init__(self, kind: type[KafkaBus], bootstrap: str, prefix: str) -> None:
        self.kind = kind
        self.options = KafkaOptions(
            bootstrap, prefix=prefix, batch_records_max=BATCH_RECORDS_MAX, settle_seconds_max=5.0, session_seconds=6.0
        )

    async def open(self) -> None:
        """Create the topics."""
        topics = [Topic(name, "test", "data" if count == 2 else "one") for name, count in TOPICS.items()]
        await create_topics(self.options.bootstrap, topics, prefix=self.options.prefix, partitions=2)

    @asynccontextmanager
    async def process(self, **failpoints: int) -> AsyncIterator[KafkaBus]:
        """Yield a bus as a new process would have it."""
        async with self.kind(self.options, failpoints=Failpoints(failpoints, die=_die)) as bus:
            yield bus

    async def publish(self, records: list[Outgoing]) -> None:
        """Put records on a topic from outside."""
        async with KafkaBus(self.options) as bus:
            await bus.publish(records)

    async def records(self, topic: str) -> list[Record]:
        """Return what lies on a topic, partition by partition."""
        found: list[Record] = []
        places = [KafkaPartition(self.options.named(topic), n) for n in range(TOPICS[topic])]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.options.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            for place in places:
                consumer.seek(place, 0)
                while await consumer.position(place) < ends[place]:
                    for raw in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
                        found.append(
                            Record(topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers), 0)
                        )
        finally:
            await consumer.stop()
        return found

    async def committed(self, service: str, at: TopicPartition) -> int | None:
        """Return what a service has committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.options.bootstrap, group_id=self.options.group(service), enable_auto_commit=False
        )
        await consumer.start()
        try:
            place = KafkaPartition(self.options.named(at.topic), at.partition)
            consumer.assign([place])
            committed: int | None = await consumer.committed(place)
            return committed
        finally:
            await consumer.stop()


def numbered(count: int, *, partition: int | None = None, first: int = 0) -> list[Outgoing]:
    """Return records of distinct keys, numbered in their values."""
    return [Outgoing("in", f"k{i}".encode(), str(i).encode(), partition=partition) for i in range(first, first + count)]


class Store:
    """A state that remembers what was applied, with a cursor per partition; it outlives the process."""

    def __init__(self) -> None:
        self.applied: Counter[tuple[int, int]] = Counter()
        self.handled: Counter[tuple[int, int]] = Counter()
        self.batches: list[tuple[int, int]] = []
        self.cursor: dict[TopicPartition, int] = {}
        self.taken: list[TopicPartition] = []
        self.dropped: list[TopicPartition] = []
        self.broken = False

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Return the cursor."""
        self.taken.append(at)
        return self.cursor.get(at)

    async def check(self, at: TopicPartition) -> None:
        """Say Fenced where the test has broken the store."""
        if self.broken:
            raise Fenced("the store went back")

    def drop(self, at: TopicPartition) -> None:
        """Note that the partition was taken away."""
        self.dropped.append(at)

    async def on_batch(self, batch: Batch) -> Outcome:
        """Copy each record to `out`, remember it, move the cursor."""
        self.batches.append((batch.at.partition, len(batch.records)))
        self.handled.update((r.partition, r.offset) for r in batch.records)

        async def apply() -> None:
            self.applied.update((r.partition, r.offset) for r in batch.records)
            self.cursor[batch.at] = batch.end

        return Outcome([Outgoing("out", r.key, r.value, cause_offset=r.offset) for r in batch.records], apply)

    def service(self, *, cursors: bool = True) -> Service:
        """Return the service whose state this is."""
        return Service("store").on("in", self.on_batch, cursors=self if cursors else None)


AnyRig = MemoryRig | KafkaRig


def rig_of(kind: str, bootstrap: str, prefix: str) -> AnyRig:
    """Return the rig of a kind: memory, kafka or faust."""
    if kind == "memory":
        return MemoryRig()
    return KafkaRig({"kafka": KafkaBus, "faust": FaustBus}[kind], bootstrap, prefix)
