"""A plain Kafka client for tests: it sends bytes as anybody may, and reads a topic until it has what it waits for."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import RecordMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

from millrace_common.bus.fetching import records_of
from millrace_common.codec import decode
from millrace_common.messages import FeatureRow, Label
from millrace_common.records import Headers, Record, TopicPartition

FETCH_MS = 200
SECONDS_MAX = 45.0
REQUEST_BYTES_MAX = 8 << 20


@dataclass
class Tail:
    """What was read of one topic so far, in the order it came."""

    consumer: AIOKafkaConsumer
    topic: str
    records: list[Record] = field(default_factory=list)

    async def until(
        self, wanted: Callable[[Record], bool], *, count: int = 1, seconds_max: float = SECONDS_MAX
    ) -> list[Record]:
        """Read on until so many records are as wanted, and return all of them that are."""
        deadline = time.monotonic() + seconds_max
        while len(found := [record for record in self.records if wanted(record)]) < count:
            assert time.monotonic() < deadline, f"{self.topic}: {len(found)} of {count} in {len(self.records)} records"
            await self._read()
        return found

    async def until_all(self, ids: Collection[str], *, seconds_max: float = SECONDS_MAX) -> dict[str, list[Record]]:
        """Read on until there is a record about each of these ids, and return them by id: `ce_id` or the event's id."""
        deadline, looked = time.monotonic() + seconds_max, 0
        found: dict[str, list[Record]] = {}
        while True:
            for record in self.records[looked:]:
                for name in ids_of(record):
                    found.setdefault(name, []).append(record)
            looked = len(self.records)
            missing = set(ids) - found.keys()
            if not missing:
                return {name: found[name] for name in ids}
            assert time.monotonic() < deadline, (
                f"{self.topic}: nothing of {len(missing)}, such as {sorted(missing)[:3]}"
            )
            await self._read()

    async def to_end(self) -> list[Record]:
        """Read what lies on the topic now and return all that was read."""
        ends = await self.consumer.end_offsets(list(self.consumer.assignment()))
        while any([await self.consumer.position(place) < end for place, end in ends.items()]):
            await self._read()
        return self.records

    async def _read(self) -> None:
        for place, raws in (await self.consumer.getmany(timeout_ms=FETCH_MS)).items():
            self.records += records_of(TopicPartition(self.topic, place.partition), raws)


@asynccontextmanager
async def tail(bootstrap: str, topic: str, *, from_start: bool = True) -> AsyncIterator[Tail]:
    """Open a topic at its start, or at its end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while not (known := consumer.partitions_for_topic(topic)):
            await consumer._client.force_metadata_update()
        places = [KafkaPartition(topic, partition) for partition in sorted(known)]
        consumer.assign(places)
        await (consumer.seek_to_beginning(*places) if from_start else consumer.seek_to_end(*places))
        for place in places:
            await consumer.position(place)
        yield Tail(consumer, topic)
    finally:
        await consumer.stop()


@asynccontextmanager
async def producer(bootstrap: str, *, compression: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer with a client's own defaults; only its size limit is lifted, to meet the broker's."""
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_request_size=REQUEST_BYTES_MAX, compression_type=compression
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def sent(
    bootstrap: str, topic: str, records: Sequence["Raw"], *, compression: str | None = None
) -> list[tuple[int, int]]:
    """Send bytes and return the partition and offset of each."""
    async with producer(bootstrap, compression=compression) as client:
        acks = [await _ack(client, topic, raw) for raw in records]
    return [(ack.partition, ack.offset) for ack in acks]


async def _ack(client: AIOKafkaProducer, topic: str, raw: "Raw") -> RecordMetadata:
    """Send one record and await its place. One without a key and a value goes in a batch: aiokafka asks for that."""
    if raw.key is not None or raw.value is not None:
        return await client.send_and_wait(
            topic, raw.value, key=raw.key, partition=raw.partition, headers=list(raw.headers)
        )
    batch = client.create_batch()
    batch.append(key=None, value=None, timestamp=None, headers=list(raw.headers))
    return await (await client.send_batch(batch, topic, partition=raw.partition or 0))


@dataclass(frozen=True)
class Raw:
    """A record as a foreign producer sends it."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Headers = ()


def rows_of(records: Sequence[Record], event_id: str) -> list[FeatureRow]:
    """Return the feature rows of an event."""
    wanted = f'"{event_id}"'.encode()
    messages = [decode(record) for record in records if record.value and wanted in record.value]
    return [message for message in messages if isinstance(message, FeatureRow) and message.event_id == event_id]


def labels_of(records: Sequence[Record], event_id: str) -> list[Label]:
    """Return the labels of an event."""
    messages = [decode(record) for record in records if record.key == event_id.encode()]
    return [message for message in messages if isinstance(message, Label)]


def source_of(record: Record) -> tuple[int, int]:
    """Return the partition and offset that a record that was set aside names."""
    return int(record.header("millrace-source-partition") or -1), int(record.header("millrace-source-offset") or -1)


def ids_of(record: Record) -> Iterator[str]:
    """Yield the ids by which a message of ours is found: its own, and that of the event of a spine row."""
    yield record.header("ce_id") or ""
    message = decode(record) if record.header("ce_type") == "millrace.feature_row.v1" else None
    if isinstance(message, FeatureRow) and message.spine:
        yield message.event_id


def spoken_of(event_id: str) -> Callable[[Record], bool]:
    """Say of a record whether it is about an event."""
    return lambda record: f'"{event_id}"'.encode() in (record.value or b"")
