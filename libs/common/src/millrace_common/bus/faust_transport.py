"""Faust's transport, made to carry batches.

Faust 0.15.3 hands over single records and decides by its own acknowledgements what to commit. Here a message is the
word that records of a partition wait, and Faust's book-keeping has no say. Private methods are overridden, so the
version is pinned exactly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import faust
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from millrace_common.bus.fetched import Fetched
from millrace_common.bus.group import committed_offset, group_consumer
from millrace_common.bus.lane import Lane
from millrace_common.bus.options import KafkaOptions
from millrace_common.columns import Records
from millrace_common.errors import Fenced
from millrace_common.service import Service

_FETCH_SECONDS_MAX = 0.25
_FETCH_WAIT_MS = 10
_FETCH_BYTES_MIN = 1 << 20
"""At each fetch work is done, whatever it brings: so the broker holds it back until there is much, or so long.

To wait here between two of them would bring what is as old as the wait: aiokafka fetches ahead.
"""
_FULL_SECONDS = 0.005
"""How often is seen whether a partition of which a batch waits had its turn."""


class Reader(Protocol):
    """Whom the transport fetches for."""

    options: KafkaOptions
    service: Service

    async def release(self) -> None:
        """Let what is in flight be settled, then forget the partitions."""
        ...

    async def take(self, assigned: Iterable[TP], committed: Callable[[TP], Awaitable[int | None]]) -> None:
        """Take the partitions over, each at its start."""
        ...

    def lane_of(self, tp: TP) -> Lane | None:
        """Return the lane of a partition; None: it is not ours now."""
        ...


class Message(ConsumerMessage):
    """Word that records of a partition wait: who has their lane takes them from the consumer when its turn has come."""

    lane: Lane
    consumer: "Consumer"


class AsTheyAre(faust.Schema[Any, Any]):
    """Pass messages through untouched: no codec runs."""

    def compile(self, app: Any, **kwargs: Any) -> Any:
        """Return the function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, None, message.headers, message)

        return decode


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread in which Faust fetches, with the consumer of the other Kafka bus.

    It fetches without being asked: what was fetched when a batch is cut is then milliseconds old, and not as old as the
    batch before it took. Faust's own would fetch ahead once and then wait until that is asked for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        transport: Any = self.transport
        self.fetched = Fetched(transport.reader.options.batch_records_max)
        self.partitions: frozenset[TP] = frozenset()
        """Of which is fetched."""
        self.news = asyncio.Event()
        """Set, in the service's loop, when something was fetched or nothing ever will be again."""
        self.fetching: asyncio.Task[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        return group_consumer(
            transport.reader.options,
            transport.reader.service,
            fetch_bytes_min=_FETCH_BYTES_MIN,
            fetch_wait_ms=_FETCH_WAIT_MS,
        )

    async def on_start(self) -> None:
        """Begin to fetch."""
        await super().on_start()
        self.fetching = asyncio.create_task(self._fetch())
        self.fetching.add_done_callback(lambda _: self._tell())

    async def on_thread_stop(self) -> None:
        """Fetch no more, and leave the group while a rebalance that is under way is still answered here and there."""
        if self.fetching is not None:
            self.fetching.cancel()
            await asyncio.wait([self.fetching])
        if self._consumer is not None:
            await self._consumer.stop()
        await super().on_thread_stop()

    def close(self) -> None:
        """Leave it to the thread's own stop: Faust's closes half of it here, in a loop that is not its own."""

    async def _fetch(self) -> None:
        while True:
            wanted = self.fetched.wanted(self.partitions)
            seconds = _FETCH_SECONDS_MAX if len(wanted) == len(self.partitions) else _FULL_SECONDS
            records: Any = await self._fetch_records(self._ensure_consumer(), wanted, timeout=seconds) if wanted else {}
            for tp, fetched in records.items():
                self.fetched.put(TP(tp.topic, tp.partition), fetched)
            if records:
                self._tell()
            else:
                await asyncio.sleep(_FULL_SECONDS)

    def _tell(self) -> None:
        self.parent_loop.call_soon_threadsafe(self.news.set)

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[Any, int]) -> None:
        self.fetched.seek({TP(tp.topic, tp.partition): offset for tp, offset in partitions.items()})
        await super()._seek_wait(consumer, partitions)

    async def committed(self, tp: TP) -> int | None:
        """Return what the group has committed, asked in this thread."""
        place = KafkaPartition(tp.topic, tp.partition)
        committed: int | None = await self.call_thread(committed_offset, self._ensure_consumer(), place)
        return committed


class Consumer(driver.Consumer):
    """Says of which partitions records wait; leaves to the reader where one starts and what is committed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._called: set[TP] = set()
        super().__init__(*args, **kwargs)

    @property
    def reader(self) -> "Reader":
        """Return whom this consumer fetches for."""
        transport: Any = self.transport
        reader: Reader = transport.reader
        return reader

    @property
    def thread(self) -> _Thread:
        """Return where it fetches."""
        thread: Any = self._thread
        assert isinstance(thread, _Thread)
        return thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, thread_loop=uvloop.new_event_loop(), beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield word of partitions of which records wait and that nobody works off."""
        waiting, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        for tp in waiting or ():
            lane = self.reader.lane_of(tp)
            if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
                return
            self._called.add(tp)  # also where it is being taken away: the next seek forgets it
            if lane is not None:
                yield tp, self._message(tp, lane)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[Any, Any]:
        thread = self.thread
        thread.partitions = frozenset(active_partitions or ())
        with suppress(TimeoutError):  # Faust looks from time to time whether it is to stop
            async with asyncio.timeout(timeout):
                while True:
                    waiting = [tp for tp in thread.fetched.waiting() if tp not in self._called]
                    if waiting:
                        return dict.fromkeys(waiting)
                    if thread.fetching is not None and thread.fetching.done():
                        thread.fetching.result()
                    thread.news.clear()
                    await thread.news.wait()
        return {}

    def _message(self, tp: TP, lane: Lane) -> Message:
        message = Message(
            tp.topic, tp.partition, lane.position, 0.0, 0, None, None, None, None, tp=tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.lane, message.consumer = lane, self
        return message

    def cut(self, tp: TP, lane: Lane) -> Records | None:
        """Take what waits of a lane, a batch at most. Raises Fenced where records that come before are missing."""
        chunk = self.thread.fetched.take(tp)
        if chunk is None:
            return None
        if chunk.start > lane.position:
            raise Fenced(f"{lane.at} was fetched from {chunk.start} on, but is settled up to {lane.position} only")
        lane.end = max(lane.end, self.end(tp))
        return chunk.records.since(lane.position)

    def end(self, tp: TP) -> int:
        """Return the end of what may be read of a partition, as last heard: an open transaction is its end."""
        return self.thread._ensure_consumer().last_stable_offset(KafkaPartition(tp.topic, tp.partition)) or 0

    def recall(self, tp: TP) -> None:
        """Say again when records of a partition wait: nobody works it off any more."""
        self._called.discard(tp)
        self.thread.news.set()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the lanes stand; the committed offset is no place to start from (R8)."""
        starts = {}
        for tp in self.assignment():
            lane = self.reader.lane_of(tp)
            if lane is not None:
                starts[TP(tp.topic, tp.partition)] = lane.position
        self._called.clear()
        await self.seek_wait({KafkaPartition(tp.topic, tp.partition): start for tp, start in starts.items()})
        return starts

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle first, and only then let Faust stop the agents of these partitions."""
        await self.reader.release()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take the partitions over before Faust starts their agents."""
        await self.reader.take(assigned, self.thread.committed)
        await super().on_partitions_assigned(assigned, generation_id)

    # Faust's own book-keeping of acknowledgements has no say.
    def ack(self, message: Any) -> bool:
        """Take no notice."""
        return True

    def track_message(self, message: Any) -> None:
        """Take no notice."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: the reader does."""
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        return

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Leave it to the watchdog."""


class Transport(driver.Transport):
    """Gives the app our consumer."""

    Consumer = Consumer

    def __init__(self, url: Any, app: faust.App, reader: Reader) -> None:
        self.reader = reader
        super().__init__(url, app)
