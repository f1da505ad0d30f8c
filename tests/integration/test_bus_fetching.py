"""The consumer of the Kafka buses on a real broker: that it still finds where aiokafka copies a record."""

import asyncio

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from millrace_common.bus import admin
from millrace_common.bus.fetching import Consumer
from millrace_common.topics import Topic


async def test_records_come_as_they_were_unpacked(kafka_bootstrap: str, topic_prefix: str) -> None:
    """What is fetched is no copy by aiokafka; should a release of it fetch by other ways, this says so."""
    await admin.create_topics(kafka_bootstrap, [Topic("in", "test")], prefix=topic_prefix, partitions=1)
    place = TopicPartition(f"{topic_prefix}in", 0)
    consumer = Consumer(bootstrap_servers=kafka_bootstrap, group_id=None, auto_offset_reset="none")
    async with asyncio.timeout(30), AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        for n in range(20):
            await producer.send_and_wait(place.topic, b"%d" % n, b"k", headers=[("n", b"%d" % n)])
        await consumer.start()
        try:
            consumer.assign([place])
            consumer.seek(place, 5)
            raws = []
            while len(raws) < 15:
                raws += (await consumer.getmany(timeout_ms=500)).get(place, [])
        finally:
            await consumer.stop()
    assert ConsumerRecord not in {type(raw) for raw in raws}
    assert [(raw.offset, raw.key, raw.value, tuple(raw.headers)) for raw in raws] == [
        (n, b"k", b"%d" % n, (("n", b"%d" % n),)) for n in range(5, 20)
    ]
