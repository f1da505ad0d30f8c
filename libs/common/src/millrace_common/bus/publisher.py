"""Sending to Kafka: idempotent, every acknowledgement awaited, with a deadline of our own.

aiokafka's idempotent producer never lets a batch expire and hangs in `stop` while the broker is away. So the deadline
stands here; past it the producer is thrown away and the next send makes a new one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.parcels import (
    BATCH_BYTES,
    REQUEST_BYTES_MAX,
    Packed,
    Parcel,
    Positions,
    packed,
    parcelled,
    refuse_large,
    topics_of,
)
from millrace_common.errors import Misconfigured, Unavailable, Unknown
from millrace_common.messages import Position
from millrace_common.metrics import RECORDS_PUBLISHED, SENDS_UNKNOWN
from millrace_common.records import Outgoing, Sheaf
from millrace_common.together import within

_WHOLE_BATCHES_FROM = 16
"""From so many records for one partition on they go out as whole batches, which was measured 3 to 4 times faster."""
_STOP_SECONDS_MAX = 3.0
_METADATA_TRIES = 10
_METADATA_SECONDS = 0.3
"""How often, and how far apart, a topic is looked for: a new one takes a moment to be known everywhere."""


@dataclass(slots=True)
class KafkaPublisher:
    """Publishes to Kafka under the deployment's prefix; renews its producer after an unknown outcome."""

    options: KafkaOptions
    _producer: AIOKafkaProducer | None = None
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    async def publish(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Send the records, those for one partition in their order; return where each lies.

        Raises Refused for a record that is too large, Unavailable where nothing was sent, Unknown past the deadline.
        """
        if not records:
            return []
        parcels = parcelled(records, {topic: await self.partitions(topic) for topic in topics_of(records)})
        producer = await self._started()
        loads = [list(packed(producer.create_batch, one)) if _is_packed(one) else _single(one) for one in parcels]
        offsets = [0] * len(records)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                await asyncio.gather(
                    *(self._send(producer, parcel, load, offsets) for parcel, load in zip(parcels, loads, strict=True))
                )
        except (TimeoutError, KafkaError) as error:
            self._renew(producer)
            SENDS_UNKNOWN.inc()
            raise Unknown(f"a send to Kafka at {self.options.bootstrap} has no known outcome: {error!r}") from error
        for parcel in parcels:
            RECORDS_PUBLISHED.labels(parcel.topic).inc(len(parcel.records))
        return Positions(parcels, offsets)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the broker says a topic has. Raises Misconfigured where there is no such topic."""
        client = (await self._started()).client
        name = self.options.named(topic)
        found = client.cluster.partitions_for_topic(name)
        if found:
            return len(found)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                for _ in range(_METADATA_TRIES):
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

    async def _send(
        self, producer: AIOKafkaProducer, parcel: Parcel, load: Sequence[Packed], offsets: list[int]
    ) -> None:
        topic, partition = self.options.named(parcel.topic), parcel.partition
        acks: list[tuple[Sequence[int], asyncio.Future[RecordMetadata]]] = []
        for one in load:
            acks.append((one.places, await producer.send_batch(one.batch, topic, partition=partition)))
        for place, record in zip(parcel.places, parcel.records, strict=True) if not load else ():
            ack = await producer.send(
                topic, record.value, record.key, partition=partition, headers=list(record.headers)
            )
            acks.append(([place], ack))
        for places, ack in acks:
            _enter(offsets, places, (await ack).offset)

    async def _started(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._producer is not None:
                return self._producer
            producer = AIOKafkaProducer(
                bootstrap_servers=self.options.bootstrap,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                max_request_size=REQUEST_BYTES_MAX,
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


def _enter(offsets: list[int], places: Sequence[int], first: int) -> None:
    """Note the offsets of a batch, which follow one another; so do its places, where it is of a sheaf."""
    given = range(first, first + len(places))
    if isinstance(places, range):
        offsets[places.start : places.stop] = given
    else:
        for place, offset in zip(places, given, strict=True):
            offsets[place] = offset


def _is_packed(parcel: Parcel) -> bool:
    """Say whether records go out as whole batches: where they are many, or one that aiokafka takes in no other way."""
    is_many = isinstance(parcel.records, Sheaf) or len(parcel.records) >= _WHOLE_BATCHES_FROM
    return is_many or not all(map(_is_single, parcel.records))


def _single(parcel: Parcel) -> list[Packed]:
    """Return no batches, having seen that each record fits a request by itself."""
    for record in parcel.records:
        refuse_large(record)
    return []


def _is_single(record: Outgoing) -> bool:
    """Say whether aiokafka sends a record by itself: without a key and a value it takes it in a batch only."""
    return record.key is not None or record.value is not None
