"""The bus on Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import structlog

from millrace_common.bus.connecting import see_closed_connections
from millrace_common.bus.group import GroupMember
from millrace_common.bus.logs import Logs, caught_up
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.publisher import KafkaPublisher
from millrace_common.bus.standing import Standing
from millrace_common.errors import Unavailable
from millrace_common.failpoints import Failpoints
from millrace_common.messages import Position
from millrace_common.records import Outgoing, TopicPartition
from millrace_common.service import Follower, Service
from millrace_common.settle import Settler
from millrace_common.together import together

log = structlog.get_logger()

_MEASURE_SECONDS = 5.0


class KafkaBus:
    """Carries records over Kafka. One service runs on it at a time; `standing` says how far it is."""

    def __init__(self, options: KafkaOptions, *, failpoints: Failpoints | None = None) -> None:
        self.options = options
        self.publisher = KafkaPublisher(options)
        self.settler = Settler(self, failpoints or Failpoints())
        self.standing = Standing()
        self._reading: Logs | None = None

    async def __aenter__(self) -> Self:
        see_closed_connections()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.publisher.close()

    async def publish(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Send and await every acknowledgement; positions in the order of `records`."""
        return await self.publisher.publish(records)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, as the broker says."""
        return await self.publisher.partitions(topic)

    async def ends(self, topic: str) -> list[int]:
        """Return the offset that follows the last record of each partition. Raises Unavailable."""
        places = [TopicPartition(topic, n) for n in range(await self.partitions(topic))]
        if self._reading is not None:
            extents = await self._reading.extents(places)
        else:
            async with self._logs() as logs:
                extents = await logs.extents(places)
        return [extents[at].end for at in places]

    async def run(self, service: Service) -> None:
        """Read the followed logs to their end, then everything, until cancelled; then settle what is in flight."""
        self.standing.reset()
        async with self._logs() as logs:
            followers: dict[str, list[Follower]] = {}
            for following in service.followings:
                followers.setdefault(following.topic, []).append(following.handler)
            counts = {topic: await self.partitions(topic) for topic in followers}
            counts |= {s.topic: await self.partitions(s.topic) for s in service.subscriptions}
            if followers:
                await logs.follow(followers, counts, self.standing)
            while not caught_up(self.standing):
                await logs.hand_over(followers, self.standing)
            await together(self._follow(logs, followers), self._subscribe(service, logs), self._measure(logs))

    @asynccontextmanager
    async def _logs(self) -> AsyncIterator[Logs]:
        logs = Logs(self.options)
        await logs.open()
        self._reading = logs
        try:
            yield logs
        finally:
            self._reading = None
            await logs.close()

    async def _follow(self, logs: Logs, followers: dict[str, list[Follower]]) -> None:
        while followers:
            await logs.hand_over(followers, self.standing)

    async def _subscribe(self, service: Service, logs: Logs) -> None:
        if not service.subscriptions:
            self.standing.ready.set()
            return
        self.standing.waiting_for = "its partitions"
        await self._read(service, logs)

    async def _read(self, service: Service, logs: Logs) -> None:
        member = GroupMember(self.options, service, settler=self.settler, standing=self.standing, logs=logs)
        await member.run()

    async def _measure(self, logs: Logs) -> None:
        """Look at the ends of what is read, so that lag is known even where nothing arrives."""
        while True:
            await asyncio.sleep(_MEASURE_SECONDS)
            try:
                extents = await logs.extents([*self.standing.lanes, *self.standing.followed])
            except Unavailable as error:
                log.warning("ends_unknown", error=str(error))
                continue
            for at, extent in extents.items():
                reading = self.standing.lanes.get(at) or self.standing.followed.get(at)
                if reading is not None:
                    reading.end = max(reading.end, extent.end)
            self.standing.measure()
