"""Sending to Kafka: idempotent, every acknowledgement awaited, with a deadline of our own.

aiokafka's idempotent producer never lets a batch expire and hangs in `stop` while the broker is away. So the deadline
stands here; past it the producer is thrown away and the next send makes a new one.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from millrace_common.bus.options import KafkaOptions
from millrace_common.errors import Misconfigured, Refused, Unavailable, Unknown
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.metrics import RECORDS_PUBLISHED, SENDS_UNKNOWN
from millrace_common.records import Outgoing
from millrace_common.together import within

log = structlog.get_logger()

_BATCH_BYTES = 512 << 10
_REQUEST_BYTES_MAX = (2 << 20) + 4_096
_WHOLE_BATCHES_FROM = 16
"""From so many records for one partition on they go out as whole batches, which was measured 3 to 4 times faster."""
_STOP_SECONDS_MAX = 3.0
_METADATA_TRIES = 10
_METADATA_SECONDS = 0.3
"""How often, and how far apart, a topic is looked for: a new one takes a moment to be known everywhere."""

Group = list[tuple[int, Outgoing]]
"""Records for one partition with their places in the call."""


@dataclass(slots=True)
class KafkaPublisher:
    """Publishes to Kafka under the deployment's prefix; renews its producer after an unknown outcome."""

    options: KafkaOptions
    _producer: AIOKafkaProducer | None = None
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Send the records, those for one partition in their order; return where each lies.

        Raises Refused for a record that is too large, Unavailable where nothing was sent, Unknown past the deadline.
        """
        if not records:
            return []
        groups = await self._grouped(records)
        producer = await self._started()
        offsets = [0] * len(records)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                await asyncio.gather(*(self._send(producer, at, group, offsets) for at, group in groups.items()))
        except (TimeoutError, KafkaError) as error:
            self._renew(producer)
            SENDS_UNKNOWN.inc()
            raise Unknown(f"a send to Kafka at {self.options.bootstrap} has no known outcome: {error!r}") from error
        for (topic, _), group in groups.items():
            RECORDS_PUBLISHED.labels(topic).inc(len(group))
        return _positions(groups, offsets)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the broker says a topic has. Raises Misconfigured where there is no such topic."""
        client = (await self._started()).client
        name = self.options.named(topic)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                for _ in range(_METADATA_TRIES):
                    found = client.cluster.partitions_for_topic(name)
                    if found:
                        return len(found)
                    found = (await client.fetch_all_metadata()).partitions_for_topic(name)
                    if found:
                        await client.add_topic(name)
                        return len(found)
                    await asyncio.sleep(_METADATA_SECONDS)
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka at {self.options.bootstrap} does not say what {topic} has: {error!r}") from error
        raise Misconfigured(f"topic {name} does not exist: millrace topics create")

    async def close(self) -> None:
        """End the producer; nothing is in flight by then."""
        if self._producer is not None:
            self._renew(self._producer)
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    async def _grouped(self, records: Sequence[Outgoing]) -> dict[tuple[str, int], Group]:
        return grouped(records, {topic: await self.partitions(topic) for topic in {record.topic for record in records}})

    async def _send(self, producer: AIOKafkaProducer, at: tuple[str, int], group: Group, offsets: list[int]) -> None:
        topic, partition = self.options.named(at[0]), at[1]
        acks: list[tuple[int, int, asyncio.Future[RecordMetadata]]] = []
        if len(group) < _WHOLE_BATCHES_FROM and all(_is_single(record) for _, record in group):
            for place, record in group:
                ack = await producer.send(
                    topic, record.value, record.key, partition=partition, headers=list(record.headers)
                )
                acks.append((place, 0, ack))
        else:
            for places, batch in batches(producer.create_batch, group):
                ack = await producer.send_batch(batch, topic, partition=partition)
                acks.extend((place, i, ack) for i, place in enumerate(places))
        for place, i, ack in acks:
            offsets[place] = (await ack).offset + i

    async def _started(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._producer is not None:
                return self._producer
            producer = AIOKafkaProducer(
                bootstrap_servers=self.options.bootstrap,
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
                max_request_size=_REQUEST_BYTES_MAX,
                request_timeout_ms=int(self.options.send_seconds_max * 1_000),
            )
            try:
                async with asyncio.timeout(self.options.send_seconds_max):
                    await producer.start()
            except (TimeoutError, KafkaError) as error:
                self._leave(producer)
                raise Unavailable(f"Kafka at {self.options.bootstrap} does not answer: {error!r}") from error
            self._producer = producer
            return producer

    def _renew(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            self._leave(producer)

    def _leave(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_end(producer))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _end(producer: AIOKafkaProducer) -> None:
    """End a producer whether or not the broker answers: what it has not sent by now must not be sent later."""
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    await within(_STOP_SECONDS_MAX, producer.client.close())
    await within(_STOP_SECONDS_MAX, producer.stop())


def grouped(records: Iterable[Outgoing], partitions: Mapping[str, int]) -> dict[tuple[str, int], Group]:
    """Return records by topic and partition, given how many each topic has. Raises Refused for one too large."""
    groups: dict[tuple[str, int], Group] = {}
    for place, record in enumerate(records):
        _check_size(record)
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key or b"", partitions[record.topic])
        groups.setdefault((record.topic, partition), []).append((place, record))
    return groups


def batches(create: Callable[[], BatchBuilder], group: Group) -> Iterator[tuple[list[int], BatchBuilder]]:
    """Fill whole batches with the records in their order."""
    batch = create()
    places: list[int] = []
    for place, record in group:
        while batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers)) is None:
            yield places, batch
            batch, places = create(), []
        places.append(place)
    yield places, batch


def _is_single(record: Outgoing) -> bool:
    """Say whether aiokafka sends a record by itself: without a key and a value it takes it in a batch only."""
    return record.key is not None or record.value is not None


def _check_size(record: Outgoing) -> None:
    size = len(record.value or b"") + len(record.key or b"") + sum(len(k) + len(v) for k, v in record.headers)
    if size > _REQUEST_BYTES_MAX:
        raise Refused("too-large", f"a record of {size} bytes for {record.topic}")


def _positions(groups: dict[tuple[str, int], Group], offsets: list[int]) -> list[Position]:
    found: dict[int, Position] = {}
    for (topic, partition), group in groups.items():
        for place, _ in group:
            found[place] = Position(topic=topic, partition=partition, offset=offsets[place])
    return [found[place] for place in range(len(offsets))]
