"""Reading Kafka without a group: what a log holds, and the logs that every process reads whole."""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndTimestamp

from millrace_common.bus.fetching import Consumer
from millrace_common.bus.lane import Extent
from millrace_common.bus.options import KafkaOptions
from millrace_common.bus.standing import Followed, Standing
from millrace_common.errors import DataGap, Unavailable
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Follower
from millrace_common.together import within

_POLL_MS = 500
_STOP_SECONDS_MAX = 3.0


class Logs:
    """A consumer of no group."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._consumer = Consumer(
            options.at,
            bootstrap_servers=options.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 << 20,
        )

    async def open(self) -> None:
        """Connect. Raises Unavailable."""
        try:
            async with asyncio.timeout(self._options.send_seconds_max):
                await self._consumer.start()
        except (TimeoutError, KafkaError) as error:
            await self.close()
            raise Unavailable(f"Kafka at {self._options.bootstrap} does not answer: {error!r}") from error

    async def close(self) -> None:
        """Disconnect, within a deadline."""
        await within(_STOP_SECONDS_MAX, self._consumer.stop())

    async def extents(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, Extent]:
        """Return what the log of each place holds now. Raises Unavailable."""
        named = {KafkaPartition(self._options.named(at.topic), at.partition): at for at in places}
        if not named:
            return {}
        try:
            async with asyncio.timeout(self._options.send_seconds_max):
                starts = await self._consumer.beginning_offsets(list(named))
                ends = await self._consumer.end_offsets(list(named))
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka does not say what the logs hold: {error!r}") from error
        return {at: Extent(starts[tp], ends[tp]) for tp, at in named.items()}

    async def whole_from(self, at: TopicPartition, reach_us: int | None) -> int | None:
        """Return the first offset appended `reach_us` after the log's first record; None where none is yet.

        Of an empty log that is its end: what was in it was deleted for its age. Raises Unavailable.
        """
        first = await self._appended(at, 0)
        if first is None:
            return (await self.extents([at]))[at].end
        if reach_us is None:
            return None
        found = await self._appended(at, first.timestamp + -(-reach_us // 1_000))
        return None if found is None else int(found.offset)

    async def _appended(self, at: TopicPartition, time_ms: int) -> OffsetAndTimestamp | None:
        tp = KafkaPartition(self._options.named(at.topic), at.partition)
        try:
            async with asyncio.timeout(self._options.send_seconds_max):
                return (await self._consumer.offsets_for_times({tp: time_ms})).get(tp)
        except (TimeoutError, KafkaError) as error:
            raise Unavailable(f"Kafka does not say when {at.topic}[{at.partition}] was written: {error!r}") from error

    async def follow(
        self, followers: Mapping[str, list[Follower]], counts: Mapping[str, int], standing: Standing
    ) -> None:
        """Start to read the partitions of these topics from their start."""
        places = [TopicPartition(topic, n) for topic in followers for n in range(counts[topic])]
        self._consumer.assign([KafkaPartition(self._options.named(at.topic), at.partition) for at in places])
        for at, extent in (await self.extents(places)).items():
            self._consumer.seek(KafkaPartition(self._options.named(at.topic), at.partition), extent.start)
            standing.followed[at] = Followed(at, extent.start, extent.end, extent.end)

    async def hand_over(self, followers: Mapping[str, list[Follower]], standing: Standing) -> None:
        """Read what there is, for a moment at most, and hand it to the followers."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=self._options.batch_records_max)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise DataGap(f"a followed log does not hold what comes next: {error!r}") from error
        except KafkaError as error:
            raise Unavailable(f"a followed log cannot be read: {error!r}") from error
        for records in fetched.values():
            at = records.at
            batch = Batch(at, records)
            followed = standing.followed[at]
            followed.is_handed_over = True
            for follower in followers[at.topic]:
                await follower(batch)
            followed.is_handed_over = False
            followed.position = batch.end
            followed.end = max(followed.end, batch.end)


def caught_up(standing: Standing) -> bool:
    """Say whether every followed log was read to the end that was seen at start."""
    return all(followed.position >= followed.target for followed in standing.followed.values())
