"""The ceiling: aiokafka alone. Consume, decode, produce a record of a row's size for each event; no state, no Redis."""

import asyncio

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from benchmarks.features.drivers.cards import Payment
from benchmarks.features.drivers.options import Options, options
from benchmarks.features.drivers.rows import producer, send

RECORDS_MAX = 5_000
DECODER = msgspec.json.Decoder(Payment)


async def work(given: Options, partition: int, commits: asyncio.Lock) -> None:
    """Turn one partition's events into records, for ever. A consumer each, so that none waits for another's acks."""
    at = TopicPartition(given.source, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=given.bootstrap, group_id=f"{given.prefix}raw{partition}", enable_auto_commit=False
    )
    to = producer(given.bootstrap)
    await consumer.start()
    await to.start()
    consumer.assign([at])
    await consumer.seek_to_beginning(at)
    padding = b"x" * given.row_bytes
    while True:
        for records in (await consumer.getmany(timeout_ms=1_000, max_records=RECORDS_MAX)).values():
            payments = [DECODER.decode(record.value) for record in records]
            rows = [(payment.card.encode(), padding) for payment in payments]
            await send(to, given.target, partition, rows)
            async with commits:
                await consumer.commit({at: records[-1].offset + 1})


async def main() -> None:
    """Work on every partition at once."""
    given, commits = options(), asyncio.Lock()
    await asyncio.gather(*(work(given, partition, commits) for partition in range(4)))


if __name__ == "__main__":
    uvloop.run(main())
