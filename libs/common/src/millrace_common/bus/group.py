"""Reading subscriptions as a member of a consumer group with aiokafka: one task per partition."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from millrace_common.bus.fetching import Consumer
from millrace_common.bus.lane import Extent, Lane, open_lane
from millrace_common.bus.logs import Logs
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.standing import Standing
from millrace_common.errors import DataGap, Fenced, Unavailable, Unknown
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Service
from millrace_common.settle import Settler
from millrace_common.together import within

log = structlog.get_logger()

_IDLE_MS = 1_000
_STOP_SECONDS_MAX = 3.0
_ANSWER_SECONDS_MAX = 30.0


def group_consumer(
    options: KafkaOptions, service: Service, *, fetch_bytes_min: int = 1, fetch_wait_ms: int = 500
) -> AIOKafkaConsumer:
    """Return a consumer of a service's group that never commits and never chooses an offset by itself (R9).

    Its membership is static: a process that is restarted within the session takes its partitions back at once. The
    broker holds an answer back until there is so much to send, or that long.
    """
    return Consumer(
        options.at,
        service.unpack,
        bootstrap_servers=options.bootstrap,
        group_id=options.group(service.name),
        group_instance_id=f"{service.name}-{options.instance}",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        session_timeout_ms=int(options.session_seconds * 1_000),
        heartbeat_interval_ms=int(options.session_seconds * 1_000 / 4),
        rebalance_timeout_ms=int(options.settle_seconds_max * 2_000),
        max_partition_fetch_bytes=4 << 20,
        fetch_min_bytes=fetch_bytes_min,
        fetch_max_wait_ms=fetch_wait_ms,
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
    )


async def committed_offset(consumer: AIOKafkaConsumer, tp: KafkaPartition) -> int | None:
    """Return the offset that the group has committed. Raises Unavailable."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS_MAX):
            committed: int | None = await consumer.committed(tp)
    except (TimeoutError, KafkaError) as error:
        raise Unavailable(f"the committed offset of {tp.topic}[{tp.partition}] is unknown: {error!r}") from error
    return committed


@dataclass(slots=True)
class _Worker:
    """The task of one partition. A busy one is let go on to its commit before it ends."""

    lane: Lane
    task: "asyncio.Task[None] | None" = None
    busy: bool = False
    stopping: bool = False

    async def stop(self, seconds_max: float) -> None:
        self.stopping = True
        assert self.task is not None
        if self.busy:
            await asyncio.wait([self.task], timeout=seconds_max)
        self.task.cancel()
        await asyncio.wait([self.task])
        self.lane.drop()


class GroupMember(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Fetches for a service's subscriptions; batches are worked off by their lanes."""

    def __init__(
        self, options: KafkaOptions, service: Service, *, settler: Settler, standing: Standing, logs: Logs
    ) -> None:
        self._options = options
        self._service = service
        self._settler = settler
        self._standing = standing
        self._logs = logs
        self._workers: dict[TopicPartition, _Worker] = {}
        self._handling = asyncio.Lock()
        self._leaving = False
        self._taking: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consumer = group_consumer(options, service)

    async def run(self) -> None:
        """Read until cancelled or until something fails; then settle what is in flight and leave."""
        topics = [self._options.named(subscription.topic) for subscription in self._service.subscriptions]
        self._consumer.subscribe(topics, listener=self)
        try:
            await self._start()
            await self._failed
        finally:
            await self._stop()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(self._options.send_seconds_max):
                await self._consumer.start()
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"the group of {self._service.name} cannot be joined: {error!r}") from error

    async def _stop(self) -> None:
        self._leaving = True
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait([self._taking])
        await self._release()
        await within(_STOP_SECONDS_MAX, self._consumer.stop())
        if self._failed.done() and not self._failed.cancelled():
            self._failed.exception()

    # aiokafka logs what a listener raises and goes on: so nothing is raised there, and the failure ends the process.
    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        """Settle what is in flight and forget the partitions."""
        await self._guard(self._release())

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        """Take the partitions over, each at its start."""
        await self._guard(self._take(sorted(assigned)))

    async def _guard(self, coroutine: Coroutine[None, None, None]) -> None:
        self._taking = asyncio.create_task(coroutine)
        await asyncio.wait([self._taking])
        self._ended(self._taking)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._failed.done():
            return
        error = task.exception()
        if error is not None:
            self._failed.set_exception(error)

    async def _release(self) -> None:
        workers = list(self._workers.values())
        self._workers.clear()
        self._standing.lanes.clear()
        if workers:
            await asyncio.gather(*(worker.stop(self._options.settle_seconds_max) for worker in workers))

    async def _take(self, assigned: list[KafkaPartition]) -> None:
        if self._leaving:
            return
        places = {self._options.at(tp.topic, tp.partition): tp for tp in assigned}
        extents = await self._logs.extents(places)
        for at, tp in places.items():
            lane = await self._open(at, tp, extents[at])
            self._consumer.seek(tp, lane.position)
            worker = _Worker(lane)
            worker.task = asyncio.create_task(self._work(worker, tp))
            worker.task.add_done_callback(self._ended)
            self._workers[at] = worker
            self._standing.lanes[at] = lane
        self._standing.ready.set()
        log.info("partitions_assigned", partitions=[f"{at.topic}[{at.partition}]" for at in places])

    async def _open(self, at: TopicPartition, tp: KafkaPartition, extent: Extent) -> Lane:
        subscription = next(s for s in self._service.subscriptions if s.topic == at.topic)
        committed = await committed_offset(self._consumer, tp)
        return await open_lane(
            self._service.name, subscription, at, committed=committed, log=extent, whole_from=self._logs.whole_from
        )

    async def _work(self, worker: _Worker, tp: KafkaPartition) -> None:
        lane = worker.lane
        while not worker.stopping:
            batch = await self._fetch(lane, tp)
            if batch is None:
                await lane.idle()
                continue
            worker.busy = True
            await self._settle(lane, tp, batch)
            worker.busy = False

    async def _settle(self, lane: Lane, tp: KafkaPartition, batch: Batch) -> None:
        async def commit() -> None:
            await self._commit(tp, batch.end)

        async with self._handling if lane.subscription.in_turn else nullcontext():
            outcome = await lane.handle(batch)
        await lane.settle(batch, outcome, self._settler, commit)

    async def _fetch(self, lane: Lane, tp: KafkaPartition) -> Batch | None:
        try:
            fetched = await self._consumer.getmany(tp, timeout_ms=_IDLE_MS, max_records=self._options.batch_records_max)
            records = fetched.get(tp)
            if not records:
                lane.passed = await self._consumer.position(tp)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise DataGap(f"{lane.at.topic}[{lane.at.partition}] no longer holds offset {lane.position}") from error
        except KafkaError as error:
            raise Unavailable(f"{lane.at.topic}[{lane.at.partition}] cannot be read: {error!r}") from error
        lane.end = max(lane.end, self._consumer.last_stable_offset(tp) or 0)
        return Batch(lane.at, records) if records else None

    async def _commit(self, tp: KafkaPartition, offset: int) -> None:
        try:
            async with asyncio.timeout(self._options.send_seconds_max):
                await self._consumer.commit({tp: offset})
        except (CommitFailedError, IllegalStateError) as error:
            raise Fenced(f"{tp.topic}[{tp.partition}] has another owner: {error!r}") from error
        except (TimeoutError, KafkaError) as error:
            raise Unknown(f"the commit of {tp.topic}[{tp.partition}] at {offset} is unknown: {error!r}") from error
