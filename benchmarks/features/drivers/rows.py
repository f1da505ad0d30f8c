"""Rows out in whole batches: aiokafka's fastest way, acknowledged by all replicas, idempotent."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

BATCH_BYTES = 512 << 10


def producer(bootstrap: str) -> AIOKafkaProducer:
    """Return the producer of a peer."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        max_request_size=2 << 20,
    )


async def send(to: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
    """Send (key, value) pairs and await every acknowledgement."""
    acks, batch = [], to.create_batch()
    for key, value in rows:
        if batch.append(key=key, value=value, timestamp=None) is None:
            acks.append(await to.send_batch(batch, topic, partition=partition))
            batch = to.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if rows:
        acks.append(await to.send_batch(batch, topic, partition=partition))
    for ack in acks:
        await ack
