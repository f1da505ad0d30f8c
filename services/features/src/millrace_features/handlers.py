"""raw-data in, feature rows, labels and the online store out: gather, judge, outcome."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millrace_common.bus import Publisher
from millrace_common.codec import dead_letter
from millrace_common.errors import Misconfigured, Parked, Refused
from millrace_common.metrics import DEAD_LETTERS, FEATURES_EVENTS
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import Outcome
from millrace_common.slots import Cursor, Slot
from millrace_common.topics import RAW_DATA
from millrace_engine.entity import Rows
from millrace_engine.events import Events
from millrace_engine.groups import Unreadable
from millrace_features.core import outputs
from millrace_features.core.feeds import Feed, Feeds
from millrace_features.core.intake import Arrival, Intake
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

    async def write(self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor) -> None:
        """Store values and the cursor in one call."""
        ...

    async def check(self, slot: Slot) -> None:
        """Compare the guard."""
        ...

    def forget(self, slot: Slot) -> None:
        """Forget the guard."""
        ...


@dataclass(slots=True)
class _Judged:
    """What became of one batch."""

    publish: list[Outgoing] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


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
    counts: Counter[str] = field(default_factory=Counter)
    """Settled records by result. Each record of raw-data has one: in = rows + labels + dead + late + duplicates
    + parked + moved + replayed. `copies` were sent to other entities' topics and count there as `copies_<result>`."""
    _shards: dict[TopicPartition, dict[str, Shard]] = field(default_factory=dict)
    _intakes: dict[str, Intake] = field(default_factory=dict)

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
        self._intakes[feed.topic] = Intake(self.events, feed, partitions)

    async def _take(self, at: TopicPartition, entity_type: str, committed: int | None) -> Shard:
        plan = self.feeds.by_topic[at.topic].plans[entity_type]
        slot = Slot(at.topic, entity_type, at.partition, plan.set.hex())
        cursor = await self.online.take(slot, committed)
        return Shard(slot, plan, cursor, dict(cursor.marks) if cursor else {})

    # --- one batch ---------------------------------------------------------------------------------------------------
    async def on_batch(self, batch: Batch) -> Outcome:
        """Handle records of raw-data, or copies on the topic of another entity."""
        judged, shards = _Judged(), self._shards[batch.at]
        arrivals = self._admitted(batch, shards, judged)
        await self._load(shards, arrivals)
        for arrival in arrivals:
            self._judge(arrival, shards[arrival.entity_type], judged)

        async def apply() -> None:
            for shard in shards.values():
                for values, cursor in shard.writes(batch.records[0].offset, batch.end):
                    await self.online.write(shard.slot, values, cursor)
                shard.evict(self.entities_max)
            self._count(batch, judged)

        return Outcome(judged.publish, apply)

    def _admitted(self, batch: Batch, shards: Mapping[str, Shard], judged: _Judged) -> list[Arrival]:
        """Return the events that are to be judged here; what moves or is refused goes to `judged`."""
        intake, arrivals = self._intakes[batch.at.topic], []
        for record in batch.records:
            try:
                arrival = intake.admit(record)
            except Refused as refusal:
                self._refuse(record, refusal, judged)
                continue
            except Parked as newer:
                judged.publish.append(outputs.parked(record, str(newer)))
                judged.tally["parked"] += 1
                continue
            if not arrival.is_home:
                judged.publish.append(outputs.moved(arrival))
                judged.tally["moved"] += 1
            elif shards[arrival.entity_type].takes(arrival):
                arrivals.append(arrival)
            else:
                judged.tally["replayed"] += 1
        return arrivals

    def _refuse(self, record: Record, refusal: Refused, judged: _Judged) -> None:
        judged.publish.append(dead_letter(record, refusal, service_version=self.version))
        judged.tally["dead"] += 1
        judged.reasons[refusal.reason] += 1

    async def _load(self, shards: Mapping[str, Shard], arrivals: Sequence[Arrival]) -> None:
        unknown: dict[str, dict[str, None]] = {}
        for arrival in arrivals:
            if arrival.entity_id not in shards[arrival.entity_type].states:
                unknown.setdefault(arrival.entity_type, {})[arrival.entity_id] = None
        for entity_type, ids in unknown.items():
            shard = shards[entity_type]
            entities = list(ids)
            values = await self.online.load(shard.slot, [key for entity in entities for key in shard.keys(entity)])
            try:
                shard.fill(entities, values)
            except Unreadable as error:
                raise Misconfigured(f"{shard.slot.tag}: {error}; point REDIS_URL at an empty store") from error

    def _judge(self, arrival: Arrival, shard: Shard, judged: _Judged) -> None:
        state = shard.states[arrival.entity_id]
        step = shard.plan.step(
            state, arrival.event, arrival.event_id, arrival.record.offset, append_time_us=arrival.append_time_us
        )
        match step.verdict:
            case "applied":
                judged.tally["replayed"] += 1
            case "duplicate":
                judged.tally["duplicates"] += 1
            case "late":
                judged.tally["late"] += 1
                lost = outputs.row(arrival, shard.plan.missing(), late=True) if shard.plan.copies else None
                judged.publish.append(lost or outputs.late(arrival))
            case "counted":
                shard.dirty[arrival.entity_id] = None
                self._publish(arrival, step.groups, judged)

    def _publish(self, arrival: Arrival, groups: Rows, judged: _Judged) -> None:
        if arrival.record.topic == RAW_DATA.name:
            forwarded = list(outputs.copies(arrival, self.feeds))
            judged.publish += forwarded
            judged.tally["copies"] += len(forwarded)
        if arrival.event.spec.refers_to and arrival.record.topic == RAW_DATA.name:
            judged.publish += outputs.labels(arrival, self.feeds)
            judged.tally["labels"] += 1
        else:
            judged.publish.append(outputs.row(arrival, groups))
            judged.tally["rows"] += 1

    def _count(self, batch: Batch, judged: _Judged) -> None:
        judged.tally["in"] = len(batch.records)
        prefix = "" if batch.at.topic == RAW_DATA.name else "copies_"
        for result, n in judged.tally.items():
            self.counts[prefix + result] += n
            FEATURES_EVENTS.labels(prefix + result).inc(n)
        for reason, n in judged.reasons.items():
            DEAD_LETTERS.labels(batch.at.topic, reason).inc(n)
