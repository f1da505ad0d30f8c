"""The bus in memory: topics are lists, a group is an offset, time is the clock's."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence

from millrace_common.bus.lane import Extent, Lane, open_lane
from millrace_common.clock import Clock
from millrace_common.failpoints import Failpoints
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import Follower, Following, Service
from millrace_common.settle import Settler
from millrace_common.topics import MAIN

_SINGLE = frozenset(topic.name for topic in MAIN if topic.partitions == "one")
_IDLE_SECONDS = 1.0


class Log(dict[str, list[list[Record]]]):
    """Records by topic and partition; a topic comes into being when it is first named."""

    def __init__(self, partitions: Mapping[str, int] | int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, topic: str) -> list[list[Record]]:
        self[topic] = [[] for _ in range(self._count(topic))]
        return self[topic]

    def _count(self, topic: str) -> int:
        if isinstance(self._partitions, int):
            return 1 if topic in _SINGLE or topic.endswith(".dlq") else self._partitions
        return self._partitions.get(topic, 1)


class MemoryBus:
    """Carries records between services of one process. `partitions`: by topic (others 1), or of every data topic."""

    def __init__(
        self,
        clock: Clock,
        partitions: Mapping[str, int] | int = 1,
        *,
        batch_records_max: int = 5_000,
        failpoints: Failpoints | None = None,
    ) -> None:
        self.log = Log(partitions)
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        self.appended = 0
        self.batch_records_max = batch_records_max
        self.settler = Settler(self, failpoints or Failpoints())
        self._clock = clock
        self._seats: list[Seat] = []

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Append the records and hand them to the followers of their topics."""
        fresh: dict[tuple[str, int], list[Record]] = {}
        positions = []
        for outgoing in records:
            record = self._append(outgoing)
            fresh.setdefault((record.topic, record.partition), []).append(record)
            positions.append(Position(topic=record.topic, partition=record.partition, offset=record.offset))
        self.appended += len(positions)
        for (topic, partition), new in fresh.items():
            for seat in self._seats:
                await seat.take(topic, partition, new)
        return positions

    def _append(self, outgoing: Outgoing) -> Record:
        partitions = self.log[outgoing.topic]
        partition = outgoing.partition
        if partition is None:
            partition = partition_of(outgoing.key or b"", len(partitions)) if len(partitions) > 1 else 0
        log = partitions[partition]
        record = Record(
            outgoing.topic, partition, len(log), outgoing.key, outgoing.value, outgoing.headers, self._clock.now_us()
        )
        log.append(record)
        return record

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self.log[topic])

    async def ends(self, topic: str) -> list[int]:
        """Return the offset that follows the last record of each partition."""
        return list(map(len, self.log[topic]))

    async def seat(self, service: Service) -> "Seat":
        """Let a service take its place: it reads the logs it follows whole, then takes its partitions over."""
        seat = Seat(self, service)
        self._seats.append(seat)
        await seat.open()
        return seat

    def leave(self, seat: "Seat") -> None:
        """Take a service's place away; it forgets what it cached."""
        self._seats.remove(seat)
        for lane in seat.lanes:
            lane.drop()

    async def run(self, service: Service) -> None:
        """Read, hand over, settle, until cancelled; then settle what is in flight."""
        seat = await self.seat(service)
        try:
            while True:
                await _to_its_end(seat.drain())
                await seat.idle()
                await seat.wait(_IDLE_SECONDS)
        finally:
            self.leave(seat)


async def _to_its_end(drain: Coroutine[None, None, bool]) -> None:
    """Await a drain; when cancelled meanwhile, first let it settle what it took."""
    task = asyncio.create_task(drain)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Seat:
    """The place of one service on the bus: its lanes, and which of them have something to read."""

    def __init__(self, bus: MemoryBus, service: Service) -> None:
        self.service = service
        self.lanes: list[Lane] = []
        self.ready: set[int] = set()
        self._bus = bus
        self._lane_of: dict[tuple[str, int], int] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._woken = asyncio.Event()

    async def open(self) -> None:
        """Read the followed logs whole, then take every partition over."""
        for following in self.service.followings:
            await self._follow(following)
        for subscription in self.service.subscriptions:
            for partition, log in enumerate(self._bus.log[subscription.topic]):
                at = TopicPartition(subscription.topic, partition)
                committed = self._bus.committed.get((self.service.name, at))
                lane = await open_lane(
                    self.service.name, subscription, at, committed=committed, log=Extent(0, len(log))
                )
                self._lane_of[at.topic, partition] = len(self.lanes)
                self.lanes.append(lane)
        self.ready.update(range(len(self.lanes)))

    async def _follow(self, following: Following) -> None:
        for partition, log in enumerate(self._bus.log[following.topic]):
            if log:
                await self._hand_over(following.handler, TopicPartition(following.topic, partition), log)
        self._followers.setdefault(following.topic, []).append(following.handler)

    async def _hand_over(self, follower: Follower, at: TopicPartition, records: Sequence[Record]) -> None:
        step = self._bus.batch_records_max
        for first in range(0, len(records), step):
            await follower(Batch(at, tuple(records[first : first + step])))

    async def take(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Take notice of new records: followers read them at once, lanes become ready."""
        for follower in self._followers.get(topic, ()):
            await self._hand_over(follower, TopicPartition(topic, partition), records)
        lane = self._lane_of.get((topic, partition))
        if lane is not None:
            self.ready.add(lane)
            self._woken.set()

    async def drain(self) -> bool:
        """Work everything off, lane by lane in the order of the subscriptions; say whether there was anything."""
        worked = False
        while self.ready:
            index = min(self.ready)
            lane = self.lanes[index]
            log = self._bus.log[lane.at.topic][lane.at.partition]
            if lane.position >= len(log):
                self.ready.discard(index)
                continue
            await self._work(lane, log)
            worked = True
        return worked

    async def _work(self, lane: Lane, log: list[Record]) -> None:
        batch = Batch(lane.at, tuple(log[lane.position : lane.position + self._bus.batch_records_max]))

        async def commit() -> None:
            self._bus.committed[self.service.name, lane.at] = batch.end

        await lane.work(batch, self._bus.settler, commit)

    async def idle(self) -> None:
        """Let every lane compare its store."""
        for lane in self.lanes:
            await lane.idle()

    async def wait(self, seconds_max: float) -> None:
        """Wait until something is ready, or for that long."""
        if not self.ready:
            self._woken.clear()
            try:
                async with asyncio.timeout(seconds_max):
                    await self._woken.wait()
            except TimeoutError:
                return
