"""Producers that write in transactions: the marks they leave in the log are no lag that nobody works off."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from tests.fakes.buses import KafkaRig, rig_of, running, until

from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome, Service

AT = TopicPartition("in", 0)
QUIET_SECONDS = 3.0


@pytest.mark.parametrize("kind", ["kafka", "faust"])
async def test_the_end_of_a_transaction_is_no_lag(kind: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    """R9, R10: what is committed is read; neither its mark nor an open transaction keeps a partition behind."""
    rig = rig_of(kind, kafka_bootstrap, topic_prefix)
    assert isinstance(rig, KafkaRig)
    await rig.open()
    seen: list[bytes | None] = []

    async def handler(batch: Batch) -> Outcome:
        seen.extend(record.value for record in batch.records)
        return Outcome()

    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic_prefix)
    await producer.start()
    async with rig.process() as bus, running(bus, Service("s").on("in", handler)) as task:
        async with producer.transaction():
            await producer.send_and_wait(rig.options.named("in"), b"committed", partition=0)
        await until(lambda: seen == [b"committed"], task)
        await until(lambda: (AT, 2, 2) in set(bus.standing.places()), task)
        async with producer.transaction():
            await producer.send_and_wait(rig.options.named("in"), b"open", partition=0)
            await asyncio.sleep(QUIET_SECONDS)
            assert (AT, 2, 2) in set(bus.standing.places())
        await until(lambda: seen == [b"committed", b"open"], task)
    await producer.stop()
