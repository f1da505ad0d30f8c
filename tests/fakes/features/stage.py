"""A stage for the features service: bus, store and clock in memory, events by the line."""

import json
from dataclasses import dataclass, field

from millrace.spec import Deployment
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.codec import decode
from millrace_common.host import Host
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Label
from millrace_common.online_memory import MemoryOnline
from millrace_common.records import Headers, Outgoing, Record
from millrace_common.service import Service
from millrace_common.simulate import Simulation
from millrace_features.service import build

NOON_US = 1_700_000_000_000_000
PARTITIONS = 4


def payment(payment_id: str, card: str, second: float, **fields: object) -> dict[str, object]:
    """Return a payment, `second` after noon."""
    ts = int(NOON_US // 1_000 + second * 1_000)
    return {"payment_id": payment_id, "card": card, "merchant": "m", "amount": 1.0, "ts": ts, **fields}


@dataclass
class Stage:
    """The features service, alone on a bus in memory."""

    deployment: Deployment
    partitions: int = PARTITIONS
    store: MemoryOnline = field(default_factory=MemoryOnline)
    entities_max: int = 1_000
    at_a_glance: bool = True
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOON_US))

    def __post_init__(self) -> None:
        self.bus = MemoryBus(self.clock, self.partitions)
        self.restart()

    def restart(self, store: MemoryOnline | None = None) -> None:
        """Start the service anew, as after a crash: what it cached is gone."""
        if hasattr(self, "simulation"):
            for seat in list(self.bus._seats):
                self.bus.leave(seat)
        self.store = store or self.store
        host = Host(self.deployment, self.bus, self.clock, "0", "1.2.3")
        self.service: Service = build(
            host, store=self.store, entities_max=self.entities_max, at_a_glance=self.at_a_glance
        )
        self.simulation = Simulation(self.bus, self.clock, [self.service])

    async def send(
        self,
        value: bytes | dict[str, object] | None,
        *,
        type_: str | None = "payment",
        key: str | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        """Publish an event to raw-data; unless told otherwise, under its card's key."""
        data = json.dumps(value).encode() if isinstance(value, dict) else value
        if key is None and partition is None and isinstance(value, dict):
            key = str(value.get("card") or value.get("payment_id"))
        typed: Headers = (("ce_type", type_.encode()),) if type_ else ()
        raw = key.encode() if key is not None else None
        await self.bus.publish([Outgoing("raw-data", raw, data, (*typed, *headers), partition)])

    async def run(self) -> None:
        """Let the service work everything off."""
        await self.simulation.until_quiet()

    def records(self, topic: str) -> list[Record]:
        """Return the records of a topic, partition by partition."""
        return [record for log in self.bus.log[topic] for record in log]

    def rows(self) -> list[FeatureRow]:
        """Return the published rows."""
        return [m for m in map(decode, self.records("features")) if isinstance(m, FeatureRow)]

    def labels(self) -> list[Label]:
        """Return the published labels."""
        return [m for m in map(decode, self.records("features")) if isinstance(m, Label)]

    def counts(self) -> dict[str, int]:
        """Return the service's counts, without zeros."""
        return {name: n for name, n in self.service.counts().items() if n}

    def home(self, key: str) -> int:
        """Return the partition of a key."""
        return partition_of(key, self.partitions)
