"""What a bus must do, whichever it is: order, settling, followed logs. Over MemoryBus, KafkaBus and FaustBus."""

import asyncio
from collections import Counter

import pytest
from tests.fakes.buses import (
    BATCH_RECORDS_MAX,
    PLACES,
    SECONDS_MAX,
    AnyRig,
    Killed,
    MemoryRig,
    Store,
    numbered,
    rig_of,
    running,
    until,
)

from millrace_common import codec
from millrace_common.clock import SystemClock
from millrace_common.delivery import decoded
from millrace_common.messages import FeatureRow, Position
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.service import Outcome, Service
from millrace_common.ticker import tick


@pytest.fixture(params=["memory", "kafka", "faust"])
def rig(request: pytest.FixtureRequest, topic_prefix: str) -> AnyRig:
    """A bus of each kind, with topics of its own."""
    bootstrap = "" if request.param == "memory" else request.getfixturevalue("kafka_bootstrap")
    return rig_of(request.param, bootstrap, topic_prefix)


async def test_a_partition_is_read_in_order_in_bounded_batches_one_at_a_time(rig: AnyRig) -> None:
    """Records of a partition come in log order; a batch has a limit; the next waits for the commit of the last."""
    await rig.open()
    await rig.publish(numbered(400))
    seen: dict[int, list[int]] = {0: [], 1: []}
    sizes: list[int] = []
    flying: Counter[int] = Counter()
    together: list[int] = []

    async def handler(batch: Batch) -> Outcome:
        flying[batch.at.partition] += 1
        together.append(flying[batch.at.partition])
        sizes.append(len(batch.records))
        seen[batch.at.partition].extend(r.offset for r in batch.records)
        assert all(r.append_time_us > 0 for r in batch.records)
        await asyncio.sleep(0.001)

        async def apply() -> None:
            flying[batch.at.partition] -= 1

        return Outcome(apply=apply)

    async with rig.process() as bus, running(bus, Service("s").on("in", handler)) as task:
        await until(lambda: sum(map(len, seen.values())) == 400, task)
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())
    assert max(sizes) <= BATCH_RECORDS_MAX
    assert set(together) == {1}


async def test_outputs_are_acknowledged_before_the_state_and_the_state_before_the_commit(rig: AnyRig) -> None:
    """R4: when the state is applied its outputs lie on the log and the source offset is not committed."""
    await rig.open()
    await rig.publish(numbered(3, partition=0))
    at_apply: list[tuple[int, int | None]] = []

    async def handler(batch: Batch) -> Outcome:
        async def apply() -> None:
            at_apply.append((len(await rig.records("out")), await rig.committed("s", PLACES[0])))

        return Outcome([Outgoing("out", b"k", r.value) for r in batch.records], apply)

    async with rig.process() as bus, running(bus, Service("s").on("in", handler)) as task:
        await until(lambda: bool(at_apply), task)
    assert at_apply[0] == (3, None)
    assert await rig.committed("s", PLACES[0]) == 3


@pytest.mark.parametrize("failpoint", ["published", "applied", "committing"])
async def test_a_crash_between_the_steps_loses_nothing_and_counts_nothing_twice(rig: AnyRig, failpoint: str) -> None:
    """R3, R8: the cursor decides where to go on: what the state has is not applied again, what it lacks is replayed."""
    await rig.open()
    await rig.publish(numbered(120, partition=0))
    store = Store()
    async with rig.process(**{failpoint: 2}) as bus:
        with pytest.raises(Killed):
            await asyncio.wait_for(bus.run(store.service()), SECONDS_MAX)
    handled_before = sum(store.handled.values())
    async with rig.process() as bus, running(bus, store.service()) as task:
        await until(lambda: len(store.applied) == 120, task)
    assert set(store.applied.values()) == {1}
    replayed = sum(store.handled.values()) - 120
    assert (replayed > 0) == (failpoint == "published")
    assert handled_before >= BATCH_RECORDS_MAX
    out = Counter(record.value for record in await rig.records("out"))
    assert len(out) == 120
    assert sum(out.values()) == 120 + replayed


async def test_an_error_of_a_handler_ends_the_process_before_the_commit(rig: AnyRig) -> None:
    """Anything but a refused message crashes: nothing of the batch is published or committed."""
    await rig.open()
    await rig.publish(numbered(3, partition=0))

    async def handler(batch: Batch) -> Outcome:
        raise ZeroDivisionError

    async with rig.process() as bus:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(bus.run(Service("s").on("in", handler)), SECONDS_MAX)
    assert await rig.committed("s", PLACES[0]) is None


async def test_a_followed_log_is_read_whole_before_the_first_batch(rig: AnyRig) -> None:
    """Every process reads a followed log from its start, and what is appended later too; it commits nothing."""
    await rig.open()
    await rig.publish([Outgoing("log", b"m", str(i).encode()) for i in range(120)])
    await rig.publish(numbered(1))
    followed: list[bytes | None] = []
    known_at_first_batch: list[int] = []

    async def follow(batch: Batch) -> None:
        assert len(batch.records) <= BATCH_RECORDS_MAX
        followed.extend(r.value for r in batch.records)

    async def handler(batch: Batch) -> Outcome:
        known_at_first_batch.append(len(followed))
        return Outcome()

    service = Service("s").follow("log", follow).on("in", handler)
    async with rig.process() as bus, running(bus, service) as task:
        await until(lambda: bool(known_at_first_batch), task)
        await rig.publish([Outgoing("log", b"m", b"late")])
        await until(lambda: len(followed) == 121, task)
    assert known_at_first_batch[0] == 120
    assert followed == [*(str(i).encode() for i in range(120)), b"late"]
    assert await rig.committed("s", TopicPartition("log", 0)) is None


async def test_a_dead_letter_is_acknowledged_before_its_source_is_committed(rig: AnyRig) -> None:
    """R7: what does not decode lies on the dead-letter topic, bytes and reason, when the state is applied."""
    await rig.open()
    row = FeatureRow(
        row_id="r",
        event_type="e",
        event_id="i",
        entity_type="card",
        entity_id="c",
        spine=True,
        event_time_us=1,
        append_time_us=2,
        source=Position(topic="raw-data", partition=0, offset=0),
        groups={},
    )
    broken = Outgoing("features", b"k", b"{nonsense", (("ce_type", b"millrace.feature_row.v1"),))
    await rig.publish([broken, codec.encode(row)])
    letters_at_apply: list[int] = []
    rows: list[FeatureRow] = []

    async def handler(batch: Batch) -> Outcome:
        messages, letters = decoded(batch, FeatureRow, service_version="1")

        async def apply() -> None:
            rows.extend(message for _, message in messages)
            letters_at_apply.append(len(await rig.records("features.dlq")))

        return Outcome(letters, apply)

    async with rig.process() as bus, running(bus, Service("s").on("features", handler)) as task:
        await until(lambda: len(rows) == 1, task)
    [letter] = await rig.records("features.dlq")
    assert letters_at_apply[0] == 1
    assert letter.value == b"{nonsense"
    assert letter.header("millrace-source-offset") == "0"
    assert letter.header("millrace-reason") == "malformed"


async def test_the_outcome_of_a_tick_is_published_and_applied(rig: AnyRig) -> None:
    """A tick settles as a batch does, without an offset."""
    await rig.open()
    applied: list[int] = []

    async def beat(now_us: int) -> Outcome:
        async def apply() -> None:
            applied.append(now_us)

        return Outcome([Outgoing("log", b"m", str(now_us).encode())], apply)

    service = Service("s").tick("beat", 50_000, beat)
    async with rig.process() as bus:
        ticking = tick("s", service.ticks, clock=SystemClock(), settler=bus.settler, turn=asyncio.Lock())
        task = asyncio.create_task(ticking)
        await until(lambda: len(applied) == 3, task)
        task.cancel()
    assert [int(r.value or b"") for r in await rig.records("log")][:3] == applied


async def test_positions_come_back_in_the_order_of_the_records(rig: AnyRig) -> None:
    """Publishing returns where each record lies, few or many of them."""
    await rig.open()
    async with rig.process() as bus:
        for count in (5, 3_000):
            positions = await bus.publish(numbered(count))
            records = {(r.partition, r.offset): r.value for r in await rig.records("in")}
            assert [records[p.partition, p.offset] for p in positions] == [str(i).encode() for i in range(count)]
        assert await bus.partitions("in") == 2


async def test_the_ends_of_a_topic_are_told(rig: AnyRig) -> None:
    """Of each partition the offset that follows its last record, idle and while a service reads."""
    await rig.open()
    await rig.publish([*numbered(3, partition=0), *numbered(2, partition=1)])
    seen: list[list[int]] = []

    async with rig.process() as bus:
        assert await bus.ends("in") == [3, 2]

        async def handler(batch: Batch) -> Outcome:
            seen.append(await bus.ends("in"))
            return Outcome()

        async with running(bus, Service("s").on("in", handler)) as task:
            await until(lambda: len(seen) > 1, task)
    assert all(ends == [3, 2] for ends in seen)


async def test_a_slow_partition_does_not_hold_up_another(rig: AnyRig) -> None:
    """Partitions are worked off side by side: one that waits for the other does not wait in vain."""
    if isinstance(rig, MemoryRig):
        pytest.skip("the bus in memory works one partition off after the other")
    await rig.open()
    await rig.publish([*numbered(3, partition=0), *numbered(2 * BATCH_RECORDS_MAX, partition=1)])
    other, done = asyncio.Event(), Counter[int]()

    async def handler(batch: Batch) -> Outcome:
        if batch.at.partition == 0:
            await other.wait()
        done[batch.at.partition] += len(batch.records)
        if done[1] == 2 * BATCH_RECORDS_MAX:
            other.set()
        return Outcome()

    async with rig.process() as bus, running(bus, Service("s").on("in", handler)) as task:
        await until(lambda: done[0] == 3 and done[1] == 2 * BATCH_RECORDS_MAX, task)


async def test_partitions_that_are_handled_in_turn_are_settled_side_by_side(rig: AnyRig) -> None:
    """One batch is with the handler at a time; while it is settled the next one may be."""
    await rig.open()
    await rig.publish(numbered(6 * BATCH_RECORDS_MAX))
    handled, with_handler, at_once, both = Counter[int](), Counter[str](), list[int](), asyncio.Event()
    if isinstance(rig, MemoryRig):
        both.set()  # it works one partition off after the other

    async def handler(batch: Batch) -> Outcome:
        with_handler["now"] += 1
        at_once.append(with_handler["now"])
        await asyncio.sleep(0.01)
        with_handler["now"] -= 1
        handled[batch.at.partition] += len(batch.records)
        if len(handled) == 2:
            both.set()

        async def apply() -> None:
            await both.wait()

        return Outcome(apply=apply)

    async with rig.process() as bus, running(bus, Service("s").on("in", handler, in_turn=True)) as task:
        await until(lambda: sum(handled.values()) == 6 * BATCH_RECORDS_MAX, task)
    assert set(at_once) == {1}


async def test_a_record_that_comes_as_its_partition_falls_idle_does_not_wait_for_another(rig: AnyRig) -> None:
    """Each record is sent when the one before it is in the handler, so that it comes about when that one is settled."""
    await rig.open()
    seen: list[int] = []

    async def handler(batch: Batch) -> Outcome:
        seen.extend(r.offset for r in batch.records)
        return Outcome()

    async with rig.process() as bus, running(bus, Service("s").on("in", handler)) as task:
        for n in range(300):
            await rig.publish(numbered(1, partition=0, first=n))
            await until(lambda n=n: len(seen) > n, task)  # type: ignore[misc]  # mypy cannot type a lambda with a default
    assert seen == list(range(300))
