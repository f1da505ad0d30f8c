"""Where a partition starts and how it is given up, over MemoryBus, KafkaBus and FaustBus."""

import asyncio
import gc
import threading
from collections import Counter
from dataclasses import replace

import pytest
from aiokafka.conn import AIOKafkaConnection
from tests.fakes.buses import (
    PLACES,
    SECONDS_MAX,
    AnyRig,
    KafkaRig,
    Store,
    numbered,
    rig_of,
    running,
    until,
)

from millrace_common.errors import DataGap, Fenced
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome, Service


@pytest.fixture(params=["memory", "kafka", "faust"])
def rig(request: pytest.FixtureRequest, topic_prefix: str) -> AnyRig:
    """A bus of each kind, with topics of its own."""
    bootstrap = "" if request.param == "memory" else request.getfixturevalue("kafka_bootstrap")
    return rig_of(request.param, bootstrap, topic_prefix)


async def test_what_was_committed_is_folded_again_but_not_published_again(rig: AnyRig) -> None:
    """R8: a store that was lost is rebuilt from the log start; its outputs below the committed offset stay quiet."""
    await rig.open()
    await rig.publish(numbered(20, partition=0))
    store = Store()
    async with rig.process() as bus, running(bus, store.service()) as task:
        await until(lambda: len(store.applied) == 20, task)
    assert await rig.committed("store", PLACES[0]) == 20
    rebuilt = Store()
    await rig.publish(numbered(5, partition=0, first=20))
    async with rig.process() as bus, running(bus, rebuilt.service()) as task:
        await until(lambda: len(rebuilt.applied) == 25, task)
    out = Counter(record.value for record in await rig.records("out"))
    assert len(out) == 25
    assert set(out.values()) == {1}


async def test_the_cursor_is_the_start_whatever_is_committed(rig: AnyRig) -> None:
    """R8: the first record read is the one at the cursor."""
    await rig.open()
    await rig.publish(numbered(30, partition=0))
    store = Store()
    store.cursor[PLACES[0]] = 13
    async with rig.process() as bus, running(bus, store.service()) as task:
        await until(lambda: len(store.applied) == 17, task)
    assert min(store.handled) == (0, 13)
    assert len(await rig.records("out")) == 17


async def test_without_cursors_the_committed_offset_is_the_start(rig: AnyRig) -> None:
    """R8: a service whose state is no store goes on at what it committed, and begins at the log start."""
    await rig.open()
    await rig.publish(numbered(10, partition=0))
    store = Store()
    async with rig.process() as bus, running(bus, store.service(cursors=False)) as task:
        await until(lambda: len(store.applied) == 10, task)
    await rig.publish(numbered(10, partition=0, first=10))
    later = Store()
    async with rig.process() as bus, running(bus, later.service(cursors=False)) as task:
        await until(lambda: len(later.applied) == 10, task)
    assert min(store.handled) == (0, 0)
    assert min(later.handled) == (0, 10)


async def test_a_start_outside_the_log_is_refused(rig: AnyRig) -> None:
    """R9: a gap between the cursor and the log is an error, never skipped over."""
    await rig.open()
    await rig.publish(numbered(3, partition=0))
    store = Store()
    store.cursor[PLACES[0]] = 7
    async with rig.process() as bus:
        with pytest.raises(DataGap, match=r"in\[0\] holds offsets 0 to 3"):
            await asyncio.wait_for(bus.run(store.service()), SECONDS_MAX)


async def test_partitions_taken_away_are_dropped_and_what_is_in_flight_is_settled(rig: AnyRig) -> None:
    """R11: who stops settles the batch it took, commits it, and forgets what it cached."""
    await rig.open()
    await rig.publish(numbered(5, partition=0))
    store = Store()
    begun, leaving = asyncio.Event(), asyncio.Event()

    async def slow(batch: Batch) -> Outcome:
        begun.set()
        await leaving.wait()
        await asyncio.sleep(0.5)
        return await store.on_batch(batch)

    service = Service("store").on("in", slow, cursors=store)
    async with rig.process() as bus, running(bus, service) as task:
        await until(lambda: begun.is_set() and set(store.taken) == set(PLACES), task)
        leaving.set()
    assert len(store.applied) == 5
    assert await rig.committed("store", PLACES[0]) == 5
    assert set(store.dropped) == set(PLACES)


async def test_an_idle_partition_whose_store_went_back_ends_the_process(rig: AnyRig) -> None:
    """R11: the store is compared at each idle poll."""
    await rig.open()
    await rig.publish(numbered(3))
    store = Store()
    async with rig.process() as bus:
        task = asyncio.create_task(bus.run(store.service()))
        await until(lambda: len(store.applied) == 3, task)
        store.broken = True
        with pytest.raises(Fenced):
            await asyncio.wait_for(task, SECONDS_MAX)


async def test_a_second_member_takes_partitions_over_and_nothing_counts_twice(rig: AnyRig) -> None:
    """A rebalance settles, drops and hands over: every record is applied once, by whichever member."""
    if not isinstance(rig, KafkaRig):
        pytest.skip("one process has one member on the bus in memory")
    await rig.open()
    store = Store()
    other = rig_of("kafka" if rig.kind.__name__ == "KafkaBus" else "faust", rig.options.bootstrap, rig.options.prefix)
    assert isinstance(other, KafkaRig)
    other.options = replace(rig.options, instance="1")
    async with rig.process() as bus, other.process() as second, running(bus, store.service()) as task:
        await rig.publish(numbered(300))
        await until(lambda: len(store.applied) == 300, task)
        async with running(second, store.service()) as joined:
            await until(lambda: len(second.standing.lanes) == 1 and len(bus.standing.lanes) == 1, joined)
            await rig.publish(numbered(300, first=300))
            await until(lambda: len(store.applied) == 600, task)
            assert set(store.dropped) == set(PLACES)
    assert set(store.applied.values()) == {1}


class SlowStore(Store):
    """A state whose cursor takes a while to be read: a rebalance lasts as long."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Return the cursor, much later."""
        self.asked += 1
        await asyncio.sleep(SECONDS_MAX)
        return await super().start(at, committed)


async def test_a_stop_amid_a_rebalance_leaves_no_connection(rig: AnyRig) -> None:
    """Who leaves while partitions are being handed over leaves wholly: the group, its connections, its threads."""
    await rig.open()
    await rig.publish(numbered(5))
    before = threading.active_count()
    store = SlowStore()
    async with rig.process() as bus, running(bus, store.service()) as task:
        await until(lambda: store.asked > 0, task)
    gc.collect()
    connections = [each for each in gc.get_objects() if issubclass(type(each), AIOKafkaConnection)]
    assert [each for each in connections if each.connected()] == []
    assert threading.active_count() == before
