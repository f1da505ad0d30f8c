"""A lost store and a log whose beginning was deleted, on a real Kafka."""

import asyncio

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from tests.fakes.buses import KafkaRig, rig_of, running, until

from millrace_common.errors import DataGap
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.service import Outcome, Service

PLACES = (TopicPartition("in", 0), TopicPartition("in", 1))
PAUSE_SECONDS = 0.5


class Store:
    """A state that is kept until it is lost."""

    def __init__(self) -> None:
        self.cursor: dict[TopicPartition, int] = {}
        self.seen: list[int] = []

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        return self.cursor.get(at)

    async def check(self, at: TopicPartition) -> None:
        return

    def drop(self, at: TopicPartition) -> None:
        return

    async def on_batch(self, batch: Batch) -> Outcome:
        self.seen += [record.offset for record in batch.records]

        async def apply() -> None:
            self.cursor[batch.at] = batch.end

        return Outcome([], apply)

    def service(self, reach_us: int) -> Service:
        return Service("s").on("in", self.on_batch, cursors=self, reach_us=reach_us)


async def delete_before(rig: KafkaRig, offset: int) -> None:
    """Delete the beginning of the first partition, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.options.bootstrap)
    await admin.start()
    try:
        place = KafkaPartition(rig.options.named("in"), 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


@pytest.mark.parametrize("kind", ["kafka", "faust"])
async def test_what_the_log_no_longer_holds_is_not_rebuilt_silently(
    kind: str, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """R14: the log's append times say whether a rebuild is exact where rows are published again."""
    rig = rig_of(kind, kafka_bootstrap, topic_prefix)
    assert isinstance(rig, KafkaRig)
    await rig.open()
    store = Store()
    for n in range(4):
        await rig.publish([Outgoing("in", b"k", b"v", partition=0)])
        await asyncio.sleep(PAUSE_SECONDS if n < 3 else 0)
    async with rig.process() as bus, running(bus, store.service(0)) as task:
        await until(lambda: len(store.seen) == 4, task)
    await delete_before(rig, 1)
    lost = Store()
    async with rig.process() as bus:
        with pytest.raises(DataGap, match=r"in\[0\] is lost"):
            await asyncio.wait_for(bus.run(lost.service(60_000_000)), 30)
    async with rig.process() as bus, running(bus, lost.service(100_000)) as task:
        await until(lambda: lost.seen == [1, 2, 3], task)
