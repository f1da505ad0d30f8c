"""The bus on Kafka with Faust fetching: an isolated agent of each partition says when there is something to work off.

Faust fetches and does nothing else: where a partition starts is said by its lane, and the lane's settled position is
the only thing that is ever committed.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext, suppress
from typing import Any

import faust
import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from millrace_common.bus.faust_transport import AsTheyAre, Consumer, Message, Transport
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.lane import Lane, open_lane
from millrace_common.bus.logs import Logs
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.standing import Standing
from millrace_common.errors import Fenced, Unavailable
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Service
from millrace_common.settle import Settler
from millrace_common.together import together, within

log = structlog.get_logger()

_IDLE_SECONDS = 1.0
_STOP_SECONDS_MAX = 8.0
_COMMIT_SECONDS = 0.5
"""How often is committed what a store with a cursor has: no start depends on it (R8)."""


class FaustBus(KafkaBus):
    """As KafkaBus; the subscriptions are fetched by a Faust app inside this process and loop."""

    async def _read(self, service: Service, logs: Logs) -> None:
        reader = FaustReader(self.options, service, settler=self.settler, standing=self.standing, logs=logs)
        await reader.run()


class FaustReader:
    """Fetches for a service's subscriptions through a Faust app; batches are worked off by their lanes."""

    def __init__(
        self, options: KafkaOptions, service: Service, *, settler: Settler, standing: Standing, logs: Logs
    ) -> None:
        self.options = options
        self.service = service
        self._settler = settler
        self._lanes = standing.lanes
        self._standing = standing
        self._logs = logs
        self._turns: dict[TopicPartition, asyncio.Lock] = {}
        self._handling = asyncio.Lock()
        """For the partitions that are handled in turn: a batch is cut when its turn has come."""
        self._workers: dict[TopicPartition, asyncio.Task[None]] = {}
        self._settled: dict[TopicPartition, int] = {}
        self._consumer: Consumer | None = None
        self._taking: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = False

    async def run(self) -> None:
        """Read until cancelled or until something fails; then settle what is in flight and leave."""
        with tempfile.TemporaryDirectory(prefix="millrace-faust-") as folder:
            app = self._app(folder)
            try:
                await self._start(app)
                await together(
                    self._first_failure(), self._crash_of(app), self._check(app), self._commit_now_and_then()
                )
            finally:
                self._leaving = True
                if self._taking is not None:
                    self._taking.cancel()
                await self.release()
                await within(_STOP_SECONDS_MAX, app.stop())

    async def _start(self, app: faust.App) -> None:
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                await app.start()
        except TimeoutError as error:
            raise Unavailable(f"the group of {self.service.name} cannot be joined") from error

    def _app(self, folder: str) -> faust.App:
        app = faust.App(
            self.options.group(self.service.name),
            broker=f"kafka://{self.options.bootstrap}",
            datadir=folder,
            store="memory://",
            web_enabled=False,
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
        )
        app.transport = Transport(app.conf.broker_consumer, app, self)
        for subscription in self.service.subscriptions:
            topic = app.topic(self.options.named(subscription.topic), schema=AsTheyAre())
            app.agent(topic, name=f"{self.service.name}.{subscription.topic}", isolated_partitions=True)(self._agent)
        app.finalize()
        return app

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self._enter(event.message)

    def _enter(self, message: Message) -> None:
        """Let a partition be worked off of which records wait."""
        at, self._consumer = message.lane.at, message.consumer
        if at not in self._workers:
            self._workers[at] = asyncio.create_task(self._drain(message))
            self._workers[at].add_done_callback(self._ended)

    async def _drain(self, message: Message) -> None:
        """Work off what waits of a partition; what came in the meantime goes into one batch.

        Between seeing that nothing waits and saying so nothing else runs: what comes after that starts the next worker.
        """
        at = message.lane.at
        try:
            while not self._failed.done():
                async with self._turns[at]:
                    if not await self._work(message):
                        break
        finally:
            message.consumer.recall(message.tp)
            del self._workers[at]

    async def _work(self, message: Message) -> bool:
        """Work a batch off; False: nothing waits, or the partition was taken away."""
        lane = message.lane
        async with self._handling if lane.subscription.in_turn else nullcontext():
            records = message.consumer.cut(message.tp, lane) if self._lanes.get(lane.at) is lane else None
            if not records:
                return False
            batch = Batch(lane.at, records)
            outcome = await lane.handle(batch)

        async def commit() -> None:
            self._settled[lane.at] = batch.end
            if lane.subscription.cursors is None:
                await self._commit()

        await lane.settle(batch, outcome, self._settler, commit)
        return True

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _first_failure(self) -> None:
        await self._failed

    async def _crash_of(self, app: faust.App) -> None:
        await app._crashed.wait()
        raise Unavailable(f"Faust has crashed: {app.crash_reason!r}")

    async def _check(self, app: faust.App) -> None:
        """Let lanes on which nothing arrives compare their store, and see whether there is nothing to come."""
        seen: dict[TopicPartition, int] = {}
        consumer: Any = app.consumer
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            for at, lane in list(self._lanes.items()):
                if self._lanes.get(at) is not lane:
                    continue  # it was taken away meanwhile
                lane.end = max(lane.end, consumer.end(TP(self.options.named(at.topic), at.partition)))
                if seen.get(at) == lane.steps and not self._turns[at].locked():
                    async with self._turns[at]:
                        await lane.idle()
                    await self._pass(lane, app)
                seen[at] = lane.steps

    async def _pass(self, lane: Lane, app: faust.App) -> None:
        """Note how far the fetch is. What is on its way to its agent meanwhile is worked off within the second."""
        tp = TP(self.options.named(lane.at.topic), lane.at.partition)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                lane.passed = await app.consumer.position(tp) or 0
        except IllegalStateError:
            return  # it was taken away meanwhile
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"how far {lane.at} was fetched is unknown: {error!r}") from error

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        """Commit what was settled since the last time."""
        settled, self._settled = self._settled, {}
        if not settled or self._consumer is None:
            return
        offsets = {TP(self.options.named(at.topic), at.partition): end for at, end in settled.items()}
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                committed = await self._consumer._thread.commit(offsets)
        except TimeoutError as error:
            raise Unavailable(f"the commit of {settled} is unknown") from error
        if not committed:
            raise Fenced(f"partitions have another owner: they could not be committed at {settled}")

    # --- what the transport asks -------------------------------------------------------------------------------------
    async def release(self) -> None:
        """Let what is in flight be settled, then forget the partitions."""
        lanes = list(self._lanes.values())
        self._lanes.clear()
        turns = [asyncio.create_task(self._turns[lane.at].acquire()) for lane in lanes]
        if turns:
            await asyncio.wait(turns, timeout=self.options.settle_seconds_max)
        with suppress(Fenced, Unavailable):  # who comes next starts where the state stands
            await self._commit()
        for lane, turn in zip(lanes, turns, strict=True):
            lane.drop()
            if turn.done():
                self._turns[lane.at].release()  # what waits for its turn sees that the lane is gone
            else:
                turn.cancel()

    async def take(self, assigned: Iterable[TP], committed: Callable[[TP], Awaitable[int | None]]) -> None:
        """Take the partitions over, each at its start.

        In a task of its own: what Faust would swallow ends the process instead.
        """
        if not self._leaving:
            self._taking = asyncio.create_task(self._take(sorted(assigned), committed))
            await asyncio.wait([self._taking])
            self._ended(self._taking)

    async def _take(self, assigned: list[TP], committed: Callable[[TP], Awaitable[int | None]]) -> None:
        places = {self.options.at(tp.topic, tp.partition): tp for tp in assigned}
        extents = await self._logs.extents(places)
        for at, tp in places.items():
            subscription = next(s for s in self.service.subscriptions if s.topic == at.topic)
            self._lanes[at] = await open_lane(
                self.service.name,
                subscription,
                at,
                committed=await committed(tp),
                log=extents[at],
                whole_from=self._logs.whole_from,
            )
            self._turns[at] = asyncio.Lock()
        self._standing.ready.set()
        log.info("partitions_assigned", partitions=[f"{at.topic}[{at.partition}]" for at in places])

    def lane_of(self, tp: TP) -> Lane | None:
        """Return the lane of a partition as Faust names it."""
        return self._lanes.get(self.options.at(tp.topic, tp.partition))
