"""raw-data in, feature rows, labels and the online store out: what a batch needs to be judged, and what comes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millrace_common.bus import Publisher
from millrace_common.computing import Compute, at_once
from millrace_common.errors import Misconfigured
from millrace_common.metrics import DEAD_LETTERS, FEATURES_EVENTS
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome
from millrace_common.slots import Cursor, Slot, ttl_ms
from millrace_common.together import together
from millrace_common.topics import FEATURES, RAW_DATA
from millrace_engine.events import Events
from millrace_features.core.feeds import Feed
from millrace_features.core.intake import Intake
from millrace_features.core.judged import Judged, Writes
from millrace_features.core.judging import Ends, Judging, Load
from millrace_features.core.shard import Shard


class Online(Protocol):
    """The store that holds the state: every access is held against what this writer left there (R11)."""

    async def claim(self, partitions: int) -> None:
        """Refuse a store that was written for another number of partitions."""
        ...

    async def take(self, slot: Slot, committed: int | None) -> Cursor | None:
        """Take a slot over and return its cursor; values are stale until all below `committed` is applied again."""
        ...

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Read values together with the guard."""
        ...

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Store values and the cursor in one call; values that are not written again for `ttl_ms` may be forgotten."""
        ...

    async def check(self, slot: Slot) -> None:
        """Compare the guard."""
        ...

    def forget(self, slot: Slot) -> None:
        """Forget the guard."""
        ...


@dataclass(frozen=True, slots=True)
class Features:
    """Has events judged, keeps their entities' state; also where its subscriptions stand.

    States are changed in place while a batch is judged: whatever fails after that ends the process or drops the cache.
    """

    judging: Judging
    events: Events
    online: Online
    publisher: Publisher
    at_a_glance: bool = True
    compute: Compute = at_once
    counts: Counter[str] = field(default_factory=Counter)
    """Settled records by result. Each record of raw-data has one: in = rows + labels + dead + late + duplicates
    + parked + moved + corrected + replayed. A correction of what is not held is `late`, a second copy of one origin
    `replayed`. `copies` were sent to other entities' topics and count there as `copies_<result>`."""
    _shards: dict[TopicPartition, dict[str, Shard]] = field(default_factory=dict)
    _intakes: dict[str, Intake] = field(default_factory=dict)
    _ends: list[int] = field(default_factory=list)
    """Of raw-data's partitions, as far as they are known."""

    # --- where the subscriptions stand (Cursors) ---------------------------------------------------------------------
    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Take a partition over: its least cursor, or None where any of its entity types was never stored."""
        self.drop(at)
        feed = self.judging.feeds.by_topic[at.topic]
        await self._open_intake(feed)
        shards = {name: await self._take(at, name, committed) for name in feed.plans}
        self._shards[at] = shards
        cursors = [shard.cursor for shard in shards.values()]
        offsets = [cursor.offset for cursor in cursors if cursor is not None]
        return min(offsets) if len(offsets) == len(cursors) else None

    async def check(self, at: TopicPartition) -> None:
        """Raise Fenced when the store is not as this writer left it."""
        for shard in self._shards[at].values():
            await self.online.check(shard.slot)

    def drop(self, at: TopicPartition) -> None:
        """Forget a partition that was taken away."""
        for shard in self._shards.pop(at, {}).values():
            self.online.forget(shard.slot)

    async def _open_intake(self, feed: Feed) -> None:
        partitions = await self.publisher.partitions(RAW_DATA.name)
        found = await self.publisher.partitions(feed.topic)
        if found != partitions:
            raise Misconfigured(f"{feed.topic} has {found} partitions, raw-data {partitions}: create it anew")
        await self.online.claim(partitions)
        self._ends[:] = self._ends or [0] * partitions
        self._intakes[feed.topic] = Intake(self.events, feed, partitions, self.at_a_glance)

    async def _take(self, at: TopicPartition, entity_type: str, committed: int | None) -> Shard:
        plan = self.judging.feeds.by_topic[at.topic].plans[entity_type]
        slot = Slot(at.topic, entity_type, at.partition, plan.set.hex())
        cursor = await self.online.take(slot, committed)
        aligned = await self.publisher.partitions(FEATURES.name) == self._intakes[at.topic].partitions
        return Shard.opened(slot, plan, cursor, aligned=aligned)

    # --- one batch ---------------------------------------------------------------------------------------------------
    async def on_batch(self, batch: Batch) -> Outcome:
        """Handle records of raw-data, or copies on the topic of another entity."""
        shards, intake = self._shards[batch.at], self._intakes[batch.at.topic]
        if batch.at.topic == RAW_DATA.name:
            self._ends[batch.at.partition] = max(self._ends[batch.at.partition], batch.end)
        steps = self.judging.steps(batch, intake, shards, self._ends)
        while not isinstance(step := await self.compute(steps.__next__), Judged):
            await self._answer(step)
        judged = step

        async def apply() -> None:
            await together(*(self._store(shard, writes) for shard, writes in judged.writes))
            self._count(batch, judged)

        return Outcome(judged.outgoing, apply)

    async def _answer(self, asked: Load | Ends) -> None:
        if isinstance(asked, Load):
            asked.values = await self.online.load(asked.slot, asked.keys)
        else:
            self._ends[:] = await self.publisher.ends(RAW_DATA.name)

    async def _store(self, shard: Shard, writes: Writes) -> None:
        """Write what a batch changed."""
        kept_ms = ttl_ms(shard.plan.reach_us)
        for values, cursor in writes:
            await self.online.write(shard.slot, values, cursor, ttl_ms=kept_ms)
        if writes:
            shard.stored(writes[-1][1])

    def _count(self, batch: Batch, judged: Judged) -> None:
        prefix = "" if batch.at.topic == RAW_DATA.name else "copies_"
        for result, n in judged.tally.items():
            if n:
                self.counts[prefix + result] += n
                FEATURES_EVENTS.labels(prefix + result).inc(n)
        for reason, n in judged.reasons.items():
            DEAD_LETTERS.labels(batch.at.topic, reason).inc(n)
