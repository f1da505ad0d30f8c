"""Where the microseconds of an event go in the features service: CPU by stage, without a broker and without Redis.

    python -m benchmarks.features_host [--records 100000] [--cards 10000] [--groups 1] [--headers]

Drives the stages of the handler in this process, batch by batch, over events of one of two classes with three
aggregates over three windows: what the broker sent is unpacked by aiokafka, becomes records, is admitted, stepped,
written as rows, and built into the batches that go to the broker; the state that changed becomes what Redis would be
sent. The handler is timed beside them as a whole.
"""

import argparse
import asyncio
import json
import random
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from millrace.spec import Deployment, EventSpec, FeatureSpec, FieldRef, FieldSpec, GroupSpec
from millrace_common.bus.fetching import Log, in_batches
from millrace_common.bus.parcels import BATCH_BYTES, packed, parcelled
from millrace_common.columns import Records
from millrace_common.garbage import spare_the_collector
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.online.scripts import write_call
from millrace_common.online_memory import MemoryOnline
from millrace_common.records import Batch, Bundle, Outgoing, TopicPartition
from millrace_common.slots import Cursor, Slot
from millrace_engine.events import compile_events
from millrace_engine.steps import COUNTED
from millrace_features.core.feeds import compile_feeds
from millrace_features.core.judging import Judging
from millrace_features.core.unpacking import unpacked
from millrace_features.handlers import Features

RAW, PARTITIONS, BATCH = "raw-data", 4, 5_000
ROUNDS = 5
"""The least time of each stage counts: others may be at work on the machine."""
WHOLE = "from bytes to apply"
START_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
AMOUNT = FieldRef("transaction", "amount", "float")


def deployment(groups: int) -> Deployment:
    """Return two event classes, and groups of three aggregates over three windows of the first."""
    event = EventSpec(
        type="transaction",
        class_name="Transaction",
        version=1,
        fields=(
            FieldSpec("txn_id", "str", "id"), FieldSpec("card", "str", "entity"), FieldSpec("merchant", "str"),
            FieldSpec("amount", "float", ge=0.0), FieldSpec("country", "str"), FieldSpec("currency", "str"),
            FieldSpec("terminal", "str"), FieldSpec("ts", "datetime", "time"),
        ),
        id_field="txn_id",
        entity_fields=("card",),
        time_field="ts",
        lateness_us=10 * 60_000_000,
    )  # fmt: skip
    chargeback = EventSpec(
        type="chargeback",
        class_name="Chargeback",
        version=1,
        fields=(FieldSpec("txn_id", "str", "refers"), FieldSpec("ts", "datetime", "time")),
        id_field=None,
        entity_fields=(),
        time_field="ts",
        refers_field="txn_id",
        refers_to="transaction",
    )
    windows = {"1m": 60_000_000, "1h": HOUR_US, "24h": 24 * HOUR_US}
    features = tuple(
        FeatureSpec(f"{op}_{name}", op, None if op == "count" else AMOUNT, window_us)
        for op in ("count", "sum", "mean")
        for name, window_us in windows.items()
    )
    specs = [GroupSpec(f"CardSpend{n}", "transaction", ("card",), features, f"{n:032x}") for n in range(groups)]
    events = {"chargeback": chargeback, "transaction": event}
    return Deployment(events, {spec.name: spec for spec in specs}, {}, {}, "0" * 32)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the broker sent of one partition: a record batch of its log, from `first` on."""

    at: TopicPartition
    first: int
    data: bytes

    def unpacked(self) -> Records:
        """Return its records as the bus's consumer hands them over."""
        place = KafkaPartition(self.at.topic, self.at.partition)
        records = PartitionRecords(place, Log(self.data), None, self.first, None, None, True, 1)
        return Records.joined(list(in_batches(self.at, records, unpacked)))


def events(count: int, cards: int) -> Iterator[tuple[str, bytes]]:
    """Yield the card and the JSON of each event."""
    rng = random.Random(1)
    for n in range(count):
        card = f"card-{rng.randrange(cards):07d}"
        event = {
            "type": "transaction", "txn_id": f"t{n:012d}", "card": card, "merchant": f"m{n % 500:04d}",
            "amount": n % 997 / 8, "country": "NL", "currency": "EUR", "terminal": f"pos-{n % 500:04d}",
            "ts": START_US // 1_000 + n * 10,
        }  # fmt: skip
        yield card, json.dumps(event, separators=(",", ":")).encode()


def fetched(count: int, cards: int, *, headers: bool) -> list[Fetched]:
    """Return events as the broker sends them, batch by batch."""
    logs = defaultdict[int, list[Fetched]](list)
    open_: dict[int, DefaultRecordBatchBuilder] = {}
    sizes = Counter[int]()

    def end(at: int) -> None:
        first = BATCH * len(logs[at])
        data = struct.pack(">q", first) + open_.pop(at).build()[8:]
        logs[at].append(Fetched(TopicPartition(RAW, at), first, data))

    for n, (card, value) in enumerate(events(count, cards)):
        at = partition_of(card, PARTITIONS)
        builder = open_.setdefault(at, DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 64 << 20))
        stated = [
            ("ce_specversion", b"1.0"), ("ce_id", b"t%012d" % n), ("ce_type", b"transaction"),
            ("ce_source", b"/millrace/ingest"), ("ce_time", b"2024-01-01T00:00:00.000000Z"),
        ]  # fmt: skip
        time_ms = START_US // 1_000 + n * 10
        builder.append(sizes[at] % BATCH, time_ms, card.encode(), value, stated if headers else [])
        sizes[at] += 1
        if sizes[at] % BATCH == 0:
            end(at)
    for at in list(open_):
        end(at)
    return [one for log in logs.values() for one in log]


class Nowhere(MemoryOnline):
    """A store that forgets."""

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Hold nothing."""
        return [None] * len(keys)

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Lay everything out."""
        write_call(slot.cursor_key.encode(), values, (b"left", b"next"), b"600000")


class Broker:
    """As many partitions as there are."""

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Take everything."""
        return []

    async def partitions(self, topic: str) -> int:
        """Return how many."""
        return PARTITIONS

    async def ends(self, topic: str) -> list[int]:
        """Return nothing yet."""
        return [0] * PARTITIONS


@dataclass
class Budget:
    """Seconds of CPU by stage."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge what is done here to a stage."""
        started = time.process_time()
        yield
        self.spent[name] += time.process_time() - started


async def opened(groups: int) -> Features:
    """Return a handler that has taken its partitions over."""
    declared = deployment(groups)
    judging = Judging(compile_feeds(declared), "0", entities_max=2_000_000)
    features = Features(judging, compile_events(declared), Nowhere(), Broker())
    for partition in range(PARTITIONS):
        await features.start(TopicPartition(RAW, partition), None)
    return features


async def by_stage(features: Features, fetched: Fetched, budget: Budget) -> None:
    """Do what the bus, the handler and the publisher do with one batch, stage by stage."""
    at, shards = fetched.at, features._shards[fetched.at]
    shard, known = shards["card"], {name: shard.table.slots for name, shard in shards.items()}
    with budget.stage("unpack"):
        batch = Batch(at, fetched.unpacked())
    with budget.stage("admit"):
        admitted = features._intakes[RAW].admit(batch, known, [])
    with budget.stage("load new entities"):
        lots = shard.new(admitted.lots)
        unknown = shard.unknown(lots)
        if unknown:
            shard.fill(unknown, [None] * len([key for entity in unknown for key in shard.keys(entity)]))
    with budget.stage("step"):
        (stepped,) = shard.step(lots)
    with budget.stage("rows"):
        rows = stepped.of(COUNTED).rows()
    with budget.stage("record batches"):
        for parcel in parcelled(Bundle([], rows), {"features": PARTITIONS}):
            for one in packed(lambda: BatchBuilder(BATCH_BYTES, 0), parcel):
                one.batch._build()
    with budget.stage("state to store"):
        await features._store(shard, shard.writes(fetched.first, batch.end))


async def main(count: int, cards: int, groups: int, *, headers: bool) -> None:
    """Print the budget."""
    work = fetched(count, cards, headers=headers)
    await run_stages(await opened(groups), work[:1], Budget())  # so that what compiles at first use has
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(Budget())
        await run_stages(await opened(groups), work, rounds[-1])
        features = await opened(groups)
        with rounds[-1].stage(WHOLE):
            for one in work:
                outcome = await features.on_batch(Batch(one.at, one.unpacked()))
                await outcome.apply()
    print(f"{count} events, {cards} cards, {9 * groups} features, batches of {BATCH}; microseconds an event")
    least = {name: min(budget.spent[name] for budget in rounds) / count * 1e6 for name in rounds[0].spent}
    for name, micros in least.items():
        print(f"{name:28} {micros:8.3f}")
    print(f"{'all stages':28} {sum(least.values()) - least[WHOLE]:8.3f}")


async def run_stages(features: Features, work: Sequence[Fetched], budget: Budget) -> None:
    """Work batches off stage by stage."""
    for one in work:
        await by_stage(features, one, budget)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--cards", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--headers", action="store_true", help="events as ingest sends them")
    arguments = parser.parse_args()
    spare_the_collector()
    asyncio.run(main(arguments.records, arguments.cards, arguments.groups, headers=arguments.headers))
