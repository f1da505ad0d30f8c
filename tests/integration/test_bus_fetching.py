"""The consumer of the Kafka buses on a real broker: that it still finds where aiokafka copies a record."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from millrace_common.bus import admin
from millrace_common.bus.fetching import Consumer
from millrace_common.columns import Records
from millrace_common.records import TopicPartition
from millrace_common.topics import Topic


async def test_records_come_as_columns(kafka_bootstrap: str, topic_prefix: str) -> None:
    """What is fetched was not copied record by record; should a release of it fetch by other ways, this says so."""
    await admin.create_topics(kafka_bootstrap, [Topic("in", "test")], prefix=topic_prefix, partitions=1)
    place = KafkaPartition(f"{topic_prefix}in", 0)
    at = TopicPartition("in", 0)
    consumer = Consumer(lambda *_: at, bootstrap_servers=kafka_bootstrap, group_id=None, auto_offset_reset="none")
    async with asyncio.timeout(30), AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        for n in range(20):
            await producer.send_and_wait(place.topic, b"%d" % n, b"k", headers=[("n", b"%d" % n)])
        await consumer.start()
        try:
            consumer.assign([place])
            consumer.seek(place, 5)
            parts = list[Records]()
            while sum(map(len, parts)) < 15:
                parts += (await consumer.getmany(timeout_ms=500)).values()
        finally:
            await consumer.stop()
    assert {type(part) for part in parts} == {Records}
    assert [(record.offset, record.key, record.value, record.headers) for record in Records.joined(parts)] == [
        (n, b"k", b"%d" % n, (("n", b"%d" % n),)) for n in range(5, 20)
    ]
