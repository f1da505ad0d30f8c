"""A deployment of two event classes, made by hand, and a bus that can fall silent."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from millrace.spec import Deployment, EventSpec, FieldSpec
from millrace_common.bus.memory import MemoryBus
from millrace_common.errors import Unavailable, Unknown
from millrace_common.messages import Position
from millrace_common.records import Outgoing

PAYMENT = EventSpec(
    type="payment",
    class_name="Payment",
    version=1,
    fields=(
        FieldSpec("payment_id", "str", "id"),
        FieldSpec("card", "str", "entity"),
        FieldSpec("amount", "float", ge=0),
        FieldSpec("ts", "datetime", "time"),
    ),
    id_field="payment_id",
    entity_fields=("card",),
    time_field="ts",
)
CLICK = EventSpec(
    type="click",
    class_name="Click",
    version=1,
    fields=(FieldSpec("page", "int", "entity"), FieldSpec("ts", "datetime", "time")),
    id_field=None,
    entity_fields=("page",),
    time_field="ts",
)
DISPUTE = EventSpec(
    type="dispute",
    class_name="Dispute",
    version=1,
    fields=(FieldSpec("payment_id", "str", "refers"), FieldSpec("ts", "datetime", "time")),
    id_field=None,
    entity_fields=(),
    time_field="ts",
    refers_field="payment_id",
    refers_to="payment",
)


def deployment(*events: EventSpec) -> Deployment:
    """Return a deployment of these events, by default all three."""
    chosen = events or (PAYMENT, CLICK, DISPUTE)
    return Deployment({event.type: event for event in chosen}, {}, {}, {}, "d" * 64)


@dataclass(slots=True)
class Broker:
    """A publisher that answers, is away (`unavailable`, `unknown`), or never answers (`silent`)."""

    bus: MemoryBus
    mood: str = "well"
    sends: int = 0

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Publish, or do as the mood says."""
        self.sends += 1
        if self.mood == "unavailable":
            raise Unavailable("no broker is there")
        if self.mood == "unknown":
            await self.bus.publish(records)
            raise Unknown("it may have landed")
        if self.mood == "silent":
            await asyncio.Event().wait()
        return await self.bus.publish(records)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return await self.bus.partitions(topic)
