"""Faust's transport, made to carry batches.

Faust 0.15.3 hands over single records and decides by its own acknowledgements what to commit. Here a message is a batch
of one partition, and Faust's book-keeping has no say. Private methods are overridden, so the version is pinned exactly.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import faust
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from millrace_common.bus.group import committed_offset, group_consumer
from millrace_common.bus.lane import Lane
from millrace_common.bus.options import KafkaOptions
from millrace_common.service import Service


class Reader(Protocol):
    """Whom the transport fetches for."""

    options: KafkaOptions
    service: Service

    async def until_wanted(self, seconds_max: float) -> None:
        """Wait while something waits of every partition: what was fetched now would wait too, in smaller pieces."""
        ...

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
    """A batch as Faust carries it: the raw records, their lane, and where the fetch of them began."""

    raws: Sequence[ConsumerRecord]
    lane: Lane
    start: int
    consumer: "Consumer"


class AsTheyAre(faust.Schema[Any, Any]):
    """Pass the records through untouched: no codec runs per record."""

    def compile(self, app: Any, **kwargs: Any) -> Any:
        """Return the function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.raws, message.headers, message)

        return decode


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread in which Faust fetches, with the consumer of the other Kafka bus."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        return group_consumer(transport.reader.options, transport.reader.service)

    async def committed(self, tp: TP) -> int | None:
        """Return what the group has committed, asked in this thread."""
        place = KafkaPartition(tp.topic, tp.partition)
        committed: int | None = await self.call_thread(committed_offset, self._ensure_consumer(), place)
        return committed


class Consumer(driver.Consumer):
    """Fetches batches; leaves to the reader where a partition starts and what is committed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._fetched: dict[TP, tuple[Lane, int]] = {}
        super().__init__(*args, **kwargs)

    @property
    def reader(self) -> "Reader":
        """Return whom this consumer fetches for."""
        transport: Any = self.transport
        reader: Reader = transport.reader
        return reader

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, thread_loop=uvloop.new_event_loop(), beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield what was fetched, at most a batch of one partition at a time."""
        await self.reader.until_wanted(timeout)
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        step = self.reader.options.batch_records_max
        for tp, raws in records.items():
            lane = self.reader.lane_of(tp)
            wanted = active is None or tp in active or tp in self._buffered_partitions
            if lane is None or not raws or not wanted:
                continue
            for first in range(0, len(raws), step):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                yield (
                    TP(tp.topic, tp.partition),
                    self._message(TP(tp.topic, tp.partition), raws[first : first + step], lane),
                )

    def _message(self, tp: TP, raws: list[Any], lane: Lane) -> Message:
        last = raws[-1]
        at_seconds = last.timestamp / 1_000
        message = Message(
            tp.topic, tp.partition, last.offset, at_seconds, last.timestamp_type, None, None, None, None, tp=tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.raws = raws
        known, start = self._fetched.get(tp, (None, 0))
        message.start = start if known is lane else lane.position
        message.lane, message.consumer = lane, self
        self._fetched[tp] = (lane, last.offset + 1)
        lane.end = max(lane.end, self._stable_end(tp))
        return message

    def _stable_end(self, tp: TP) -> int:
        """Return the end of what may be read: an open transaction of a producer ends it."""
        thread: Any = self._thread
        return thread._ensure_consumer().last_stable_offset(KafkaPartition(tp.topic, tp.partition)) or 0

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the lanes stand; the committed offset is no place to start from (R8)."""
        starts = {}
        for tp in self.assignment():
            lane = self.reader.lane_of(tp)
            if lane is not None:
                starts[TP(tp.topic, tp.partition)] = lane.position
        self._fetched.clear()
        await self.seek_wait({KafkaPartition(tp.topic, tp.partition): start for tp, start in starts.items()})
        return starts

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle first, and only then let Faust stop the agents of these partitions."""
        await self.reader.release()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take the partitions over before Faust starts their agents."""
        thread: Any = self._thread
        await self.reader.take(assigned, thread.committed)
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
