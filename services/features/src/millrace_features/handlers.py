"""raw-data in, feature rows, labels and the online store out: gather, judge, outcome."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from millrace_common.bus import Publisher
from millrace_common.codec import dead_letter
from millrace_common.errors import Misconfigured, Parked
from millrace_common.metrics import DEAD_LETTERS, FEATURES_EVENTS
from millrace_common.records import Batch, Bundle, Outgoing, TopicPartition
from millrace_common.service import Outcome
from millrace_common.slots import Cursor, Slot, ttl_ms
from millrace_common.together import together
from millrace_common.topics import FEATURES, RAW_DATA
from millrace_engine.events import Events
from millrace_engine.steps import APPLIED, COUNTED, DUPLICATE, LATE
from millrace_engine.table import EntityTable
from millrace_engine.values import Unreadable
from millrace_features.core import outputs
from millrace_features.core.feeds import Feed, Feeds
from millrace_features.core.intake import Admitted, Intake
from millrace_features.core.lots import Lot
from millrace_features.core.outputs import Arrival
from millrace_features.core.rows import compile_rows
from millrace_features.core.shard import Shard, Stepped
from millrace_features.core.sheaves import Laid, merged


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


@dataclass(slots=True)
class _Judged:
    """What became of one batch. `aside` never comes to be judged; all else is by place in the batch."""

    aside: list[Outgoing] = field(default_factory=list)
    copies: dict[int, list[Outgoing]] = field(default_factory=dict)
    results: dict[int, Outgoing] = field(default_factory=dict)
    rows: list[tuple[Sequence[int], Laid]] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def published(self) -> Sequence[Outgoing]:
        """Return everything to publish: what was set aside, then in log order the copies of an event and its result.

        What goes to the topic of rows stays together; the order of two topics does not matter.
        """
        singles = [(-1, one) for one in self.aside]
        for place in sorted(self.results.keys() | self.copies.keys()):
            singles += [(place, one) for one in self.copies.get(place, ())]
            if place in self.results:
                singles.append((place, self.results[place]))
        if not self.rows:
            return [one for _, one in singles]
        beside = [(place, one) for place, one in singles if one.topic == FEATURES.name]
        if beside:
            places, records = zip(*beside, strict=True)
            self.rows.append((places, Laid.of(records, self.rows[0][1].partition)))
        sheaf = self.rows[0][1] if len(self.rows) == 1 else merged(self.rows)
        return Bundle([one for _, one in singles if one.topic != FEATURES.name], sheaf)


@dataclass(frozen=True, slots=True)
class Features:
    """Judges events, computes their rows and keeps their entities' state; also where its subscriptions stand.

    States are changed in place while a batch is judged: whatever fails after that ends the process or drops the cache.
    """

    feeds: Feeds
    events: Events
    online: Online
    publisher: Publisher
    version: str
    entities_max: int
    """Entities that are cached of each entity type and partition."""
    at_a_glance: bool = True
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
        feed = self.feeds.by_topic[at.topic]
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
        plan = self.feeds.by_topic[at.topic].plans[entity_type]
        slot = Slot(at.topic, entity_type, at.partition, plan.set.hex())
        cursor = await self.online.take(slot, committed)
        spine = at.topic == RAW_DATA.name
        aligned = await self.publisher.partitions(FEATURES.name) == self._intakes[at.topic].partitions
        writers = {spec.type: compile_rows(plan, spec, spine=spine, aligned=aligned) for spec in plan.events}
        marks = dict(cursor.marks) if cursor else {}
        return Shard(slot, plan, writers, EntityTable(plan, at.partition), cursor, marks)

    # --- one batch ---------------------------------------------------------------------------------------------------
    async def on_batch(self, batch: Batch) -> Outcome:
        """Handle records of raw-data, or copies on the topic of another entity."""
        judged, shards = _Judged(), self._shards[batch.at]
        admitted = await self._admitted(batch, shards)
        self._set_aside(batch, admitted, judged)
        for name, shard in shards.items():
            await _pause()
            await self._judge(shard, [lot for lot in admitted.lots if lot.entity_type == name], judged)

        async def apply() -> None:
            await together(*(self._store(shard, batch) for shard in shards.values()))
            self._count(batch, judged)

        return Outcome(judged.published(), apply)

    async def _store(self, shard: Shard, batch: Batch) -> None:
        """Write what a batch changed."""
        kept_ms = ttl_ms(shard.plan.reach_us)
        for values, cursor in shard.writes(batch.records[0].offset, batch.end):
            await self.online.write(shard.slot, values, cursor, ttl_ms=kept_ms)
        shard.table.evict(self.entities_max)

    async def _admitted(self, batch: Batch, shards: Mapping[str, Shard]) -> Admitted:
        """Return what a batch holds; the ends of raw-data are asked for where a copy claims to come from past them."""
        intake = self._intakes[batch.at.topic]
        known = {name: shard.table.slots for name, shard in shards.items()}
        if batch.at.topic == RAW_DATA.name:
            self._ends[batch.at.partition] = max(self._ends[batch.at.partition], batch.end)
        admitted = intake.admit(batch, known, self._ends)
        if admitted.has_unborn:
            self._ends[:] = await self.publisher.ends(RAW_DATA.name)
            admitted = intake.admit(batch, known, self._ends)
        return admitted

    def _set_aside(self, batch: Batch, admitted: Admitted, judged: _Judged) -> None:
        """Note what is not judged here: dead letters, parked events, and those of other partitions."""
        aside: dict[int, Outgoing] = {}
        for place, why in admitted.refused.items():
            record = batch.records[place]
            if isinstance(why, Parked):
                aside[place] = outputs.parked(record, str(why))
                judged.tally["parked"] += 1
                continue
            aside[place] = dead_letter(record, why, service_version=self.version)
            judged.tally["dead"] += 1
            judged.reasons[why.reason] += 1
        for lot, homes in admitted.moving:
            judged.tally["moved"] += len(lot)
            for i, home in homes.items():
                aside[lot.places[i]] = outputs.moved(Arrival(lot, i), home)
        judged.aside = [aside[place] for place in sorted(aside)]

    async def _judge(self, shard: Shard, lots: Sequence[Lot], judged: _Judged) -> None:
        new = shard.new(lots)
        judged.tally["replayed"] += sum(map(len, lots)) - sum(map(len, new))
        if not new:
            return
        unknown = shard.unknown(new)
        if unknown:
            values = await self.online.load(shard.slot, [key for entity in unknown for key in shard.keys(entity)])
            try:
                shard.fill(unknown, values)
            except Unreadable as error:
                raise Misconfigured(f"{shard.slot.tag}: {error}; point REDIS_URL at an empty store") from error
        for stepped in shard.step(new):
            await _pause()
            if stepped.correction is None:
                self._publish(stepped, judged)
            else:
                self._publish_correction(stepped, judged)

    def _publish(self, stepped: Stepped, judged: _Judged) -> None:
        """Note what comes of events that were judged: of one class, in log order."""
        lot, tally = stepped.lot, judged.tally
        verdicts = stepped.steps.verdicts
        tally["replayed"] += int(np.count_nonzero(verdicts == APPLIED))
        tally["duplicates"] += int(np.count_nonzero(verdicts == DUPLICATE))
        self._publish_late(stepped.of(LATE), judged)
        counted = stepped.of(COUNTED)
        self._forward(counted, judged)
        if counted.writer.spine and lot.spec.refers_to:
            for i, place in enumerate(counted.lot.places):
                judged.copies.setdefault(place, []).extend(outputs.labels(Arrival(counted.lot, i), self.feeds))
            tally["labels"] += len(counted.lot)
            return
        tally["rows"] += len(counted.lot)
        if len(counted.lot):
            judged.rows.append((counted.lot.places, counted.rows()))

    def _publish_correction(self, stepped: Stepped, judged: _Judged) -> None:
        """Note what came of a correction: a row of the corrected event's id, or that it came too late."""
        (verdict,), (place,) = stepped.steps.verdicts, stepped.lot.places
        if verdict == APPLIED:
            judged.tally["replayed"] += 1
        elif verdict == LATE:
            judged.tally["late"] += 1
            judged.results[place] = outputs.not_held(Arrival(stepped.lot, 0))
        else:
            judged.tally["corrected"] += 1
            self._forward(stepped, judged)
            withdrawn = stepped.correction == "withdraw"
            (row,) = stepped.rows(op="withdrawn") if withdrawn else stepped.rows(flags=("corrected",))
            judged.results[place] = row

    def _forward(self, counted: Stepped, judged: _Judged) -> None:
        """Note the copies of counted events for other entities that they name."""
        if counted.writer.spine and self.feeds.forwards[counted.lot.spec.type]:
            for i, place in enumerate(counted.lot.places):
                judged.copies[place] = list(outputs.copies(Arrival(counted.lot, i), self.feeds))
                judged.tally["copies"] += len(judged.copies[place])

    def _publish_late(self, late: Stepped, judged: _Judged) -> None:
        """Note events that came too late: for their own entity they are set aside, for another one its row says so."""
        judged.tally["late"] += len(late.lot)
        rows = late.rows(late=True) if late.lot and not late.writer.spine else None
        for i, place in enumerate(late.lot.places):
            judged.results[place] = rows[i] if rows else outputs.late(Arrival(late.lot, i))

    def _count(self, batch: Batch, judged: _Judged) -> None:
        judged.tally["in"] = len(batch.records)
        prefix = "" if batch.at.topic == RAW_DATA.name else "copies_"
        for result, n in judged.tally.items():
            if n:
                self.counts[prefix + result] += n
                FEATURES_EVENTS.labels(prefix + result).inc(n)
        for reason, n in judged.reasons.items():
            DEAD_LETTERS.labels(batch.at.topic, reason).inc(n)


async def _pause() -> None:
    """Let other partitions go on whose answers came meanwhile: a batch is judged for tens of milliseconds."""
    await asyncio.sleep(0)
