"""The host alone: Faust's transport, a row and a guarded write for each event, and a handler that computes nothing.

What the features service would be at best on this host: how fresh values can be when their making takes no time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from benchmarks.features.drivers.cards import Payment

from millrace_common.host import Host
from millrace_common.online import OnlineWriter
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.run import run
from millrace_common.service import Outcome, Service
from millrace_common.slots import Cursor, Slot
from millrace_common.topics import DAY_MS, FEATURES, RAW_DATA
from millrace_engine.entity import EntityPlan, compile_entity
from millrace_engine.values import GROUP_MAGIC, word
from millrace_features.settings import Settings

ROW, BODY = b"x" * 600, bytes(384)
"""As large as a row of ours, and as what is kept of a card of a few events."""
DECODER = msgspec.json.Decoder(Payment)


@dataclass(slots=True)
class HostAlone:
    """Stores of each card the offset of its newest event."""

    plan: EntityPlan
    online: OnlineWriter
    slots: dict[TopicPartition, Slot] = field(default_factory=dict)

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Take a partition over."""
        slot = self.slots[at] = Slot(at.topic, self.plan.entity_type, at.partition, self.plan.set.hex())
        cursor = await self.online.take(slot, committed)
        return None if cursor is None else cursor.offset

    async def check(self, at: TopicPartition) -> None:
        """Compare the guard."""
        await self.online.check(self.slots[at])

    def drop(self, at: TopicPartition) -> None:
        """Forget a partition."""
        if at in self.slots:
            self.online.forget(self.slots.pop(at))

    async def on_batch(self, batch: Batch) -> Outcome:
        """Give a row for each event, and store of each card its newest offset."""
        slot, (group_key,) = self.slots[batch.at], self.plan.group_keys
        head = word(GROUP_MAGIC, 0, self.plan.set)
        cards = [DECODER.decode(record.value or b"").card for record in batch.records]
        rows = [Outgoing(FEATURES.name, card.encode(), ROW, partition=batch.at.partition) for card in cards]
        values = {
            slot.value_key(card, group_key): head + record.offset.to_bytes(8, "little") + BODY
            for card, record in zip(cards, batch.records, strict=True)
        }

        async def apply() -> None:
            await self.online.write(slot, values, Cursor(batch.end, {}), ttl_ms=DAY_MS)

        return Outcome(rows, apply)


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Open the online store and yield the service."""
    async with OnlineWriter.connect(settings.redis_url, retry_seconds_max=settings.features_redis_seconds_max) as store:
        await store.claim(await host.publisher.partitions(RAW_DATA.name))
        nothing = HostAlone(compile_entity(host.deployment, "card"), store)
        yield Service("features").on(RAW_DATA.name, nothing.on_batch, cursors=nothing, reach_us=0, in_turn=True)


if __name__ == "__main__":
    run(service, Settings, bus="faust")
