"""The bus on Kafka with Faust fetching: batches of one partition, worked off by one isolated agent per partition.

Faust fetches and does nothing else: where a partition starts is said by its lane, and the lane's settled position is
the only thing that is ever committed.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import faust
import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from millrace_common.bus.faust_transport import AsTheyAre, Consumer, Message, Transport
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.lane import Lane, open_lane
from millrace_common.bus.logs import Logs, records_of
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
_BATCHES_WAITING_MAX = 32
"""Batches of one partition that Faust may hold ready."""


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
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = False

    async def run(self) -> None:
        """Read until cancelled or until something fails; then settle what is in flight and leave."""
        with tempfile.TemporaryDirectory(prefix="millrace-faust-") as folder:
            app = self._app(folder)
            try:
                await self._start(app)
                await together(self._first_failure(), self._crash_of(app), self._check(app))
            finally:
                self._leaving = True
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
            stream_buffer_maxsize=_BATCHES_WAITING_MAX,
        )
        app.transport = Transport(app.conf.broker_consumer, app, self)
        for subscription in self.service.subscriptions:
            topic = app.topic(self.options.named(subscription.topic), schema=AsTheyAre())
            app.agent(topic, name=f"{self.service.name}.{subscription.topic}", isolated_partitions=True)(self._agent)
        app.finalize()
        return app

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await self._guard(self._work(event.message))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in a task of its own: what Faust would swallow ends the process instead."""
        task = asyncio.create_task(work)
        await asyncio.wait([task])
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
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            for at, lane in list(self._lanes.items()):
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

    async def _work(self, message: Message) -> None:
        """Work a batch off, unless its partition was taken away since it was fetched or something has failed."""
        lane = message.lane
        async with self._turns[lane.at]:
            if self._lanes.get(lane.at) is not lane or self._failed.done():
                return
            if message.start > lane.position:
                raise Fenced(
                    f"{lane.at} was fetched from {message.start} on, but is settled up to {lane.position} only"
                )
            raws = [raw for raw in message.raws if raw.offset >= lane.position]
            if not raws:
                return
            batch = Batch(lane.at, records_of(lane.at, raws))

            async def commit() -> None:
                await self._commit(message.consumer, lane.at, batch.end)

            await lane.work(batch, self._settler, commit)

    async def _commit(self, consumer: Consumer, at: TopicPartition, offset: int) -> None:
        tp = TP(self.options.named(at.topic), at.partition)
        try:
            async with asyncio.timeout(self.options.send_seconds_max):
                committed = await consumer._thread.commit({tp: offset})
        except TimeoutError as error:
            raise Unavailable(f"the commit of {at} at {offset} is unknown") from error
        if not committed:
            raise Fenced(f"{at} has another owner: it could not be committed at {offset}")

    # --- what the transport asks -------------------------------------------------------------------------------------
    async def release(self) -> None:
        """Let what is in flight be settled, then forget the partitions."""
        lanes = list(self._lanes.values())
        self._lanes.clear()
        turns = [asyncio.create_task(self._turns[lane.at].acquire()) for lane in lanes]
        if turns:
            await asyncio.wait(turns, timeout=self.options.settle_seconds_max)
        for lane, turn in zip(lanes, turns, strict=True):
            lane.drop()
            if turn.done():
                self._turns[lane.at].release()  # what waits for its turn sees that the lane is gone
            else:
                turn.cancel()

    async def take(self, assigned: Iterable[TP], committed: Callable[[TP], Awaitable[int | None]]) -> None:
        """Take the partitions over, each at its start."""
        if not self._leaving:
            await self._guard(self._take(sorted(assigned), committed))

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
