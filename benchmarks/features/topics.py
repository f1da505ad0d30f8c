"""The topics of one run: made, filled before it, and read after it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from benchmarks.features.drivers.rows import producer, send
from benchmarks.features.events import Load, Workload, loads
from numpy.typing import NDArray

from millrace_common.bus import admin
from millrace_common.topics import FEATURES, RAW_DATA, of_deployment

PARTITIONS = 4
KEPT_EACH = 101
Client = TypeVar("Client", AIOKafkaProducer, AIOKafkaConsumer)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a driver put on its topic: when the broker took each row, in order, how many bytes they have, and a few."""

    taken_ms: NDArray[np.int64]
    size_bytes: int
    some: list[bytes]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics under one prefix."""

    bootstrap: str
    prefix: str

    @property
    def source(self) -> str:
        """Return the name of the topic of events."""
        return self.prefix + RAW_DATA.name

    @property
    def target(self) -> str:
        """Return the name of the topic of rows."""
        return self.prefix + FEATURES.name

    async def create(self) -> None:
        """Create all topics of a deployment."""
        await admin.create_topics(self.bootstrap, of_deployment(()), prefix=self.prefix, partitions=PARTITIONS)

    async def delete(self) -> None:
        """Delete them all: a run leaves gigabytes."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await client.start()
        try:
            known = set(await client.list_topics())
            await client.delete_topics([name for name in known if self.prefix in name])
        finally:
            await client.close()

    async def fill(self, workload: Workload) -> None:
        """Put the events of a workload on the source topic, those of a partition in their order."""
        async with opened(producer(self.bootstrap)) as to:
            for load in loads(workload, PARTITIONS):
                await asyncio.gather(*(send(to, self.source, at, part) for at, part in parted(load).items()))

    async def ends(self, topic: str, using: AIOKafkaConsumer) -> dict[int, int]:
        """Return the end offset of each partition."""
        found = await using.end_offsets([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        return {at.partition: end for at, end in found.items()}

    async def rows(self) -> Rows:
        """Read the topic of rows from its start to its end."""
        places = [TopicPartition(self.target, partition) for partition in range(PARTITIONS)]
        reading = _Reading()
        client = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, max_partition_fetch_bytes=8 << 20)
        async with opened(client) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(at) < ends[at] for at in places]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    reading.take(records)
        return Rows(np.sort(np.array(reading.taken_ms, dtype=np.int64)), reading.size_bytes, reading.some)


@dataclass(slots=True)
class _Reading:
    taken_ms: list[int] = field(default_factory=list)
    size_bytes: int = 0
    some: list[bytes] = field(default_factory=list)

    def take(self, records: Iterable) -> None:  # type: ignore[type-arg]  # aiokafka ships no types
        for record in records:
            self.taken_ms.append(record.timestamp)
            self.size_bytes += len(record.value or b"") + len(record.key or b"")
            if record.offset % KEPT_EACH == 0:
                self.some.append(record.value)
            self.size_bytes += sum(len(name) + len(value) for name, value in record.headers)


def parted(load: Load) -> dict[int, list[tuple[bytes, bytes]]]:
    """Return the (key, value) pairs of a load by partition, in their order."""
    parts: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    for key, value, partition in zip(load.keys, load.values, load.partitions.tolist(), strict=True):
        parts[partition].append((key, value))
    return parts


@asynccontextmanager
async def opened(client: Client) -> AsyncIterator[Client]:
    """Start a client of Kafka and stop it with the block."""
    await client.start()
    try:
        yield client
    finally:
        await client.stop()
