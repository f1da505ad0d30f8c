"""Where the microseconds of an event go in the features service: CPU by stage, without a broker and without Redis.

    python -m benchmarks.features_host [--records 100000] [--cards 10000] [--groups 1] [--headers]

Drives the stages of the handler in this process, batch by batch, over events of one class with three aggregates over
three windows: what aiokafka fetched becomes records, is admitted, stepped, written as rows, and built into the batches
that go to the broker; the state that changed becomes what Redis would be sent. The whole handler is timed beside them.
"""

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from millrace.spec import Deployment, EventSpec, FeatureSpec, FieldRef, FieldSpec, GroupSpec
from millrace_common.bus.logs import records_of
from millrace_common.bus.parcels import packed, parcelled
from millrace_common.garbage import spare_the_collector
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.online_memory import MemoryOnline
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.slots import Cursor, Slot
from millrace_engine.events import compile_events
from millrace_engine.steps import COUNTED
from millrace_features.core.feeds import compile_feeds
from millrace_features.handlers import Features

RAW, PARTITIONS, BATCH = "raw-data", 4, 5_000
ROUNDS = 5
"""The least time of each stage counts: others may be at work on the machine."""
WHOLE = "records, handler and apply"
BATCH_BYTES = 512 << 10
START_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
AMOUNT = FieldRef("transaction", "amount", "float")


def deployment(groups: int) -> Deployment:
    """Return one event class, and groups of three aggregates over three windows."""
    event = EventSpec(
        type="transaction",
        class_name="Transaction",
        version=1,
        fields=(
            FieldSpec("txn_id", "str", "id"), FieldSpec("card", "str", "entity"), FieldSpec("merchant", "str"),
            FieldSpec("amount", "float", ge=0.0), FieldSpec("ts", "datetime", "time"),
        ),
        id_field="txn_id",
        entity_fields=("card",),
        time_field="ts",
        lateness_us=10 * 60_000_000,
    )  # fmt: skip
    windows = {"1m": 60_000_000, "1h": HOUR_US, "24h": 24 * HOUR_US}
    features = tuple(
        FeatureSpec(f"{op}_{name}", op, None if op == "count" else AMOUNT, window_us)
        for op in ("count", "sum", "mean")
        for name, window_us in windows.items()
    )
    specs = [GroupSpec(f"CardSpend{n}", "transaction", ("card",), features, f"{n:032x}") for n in range(groups)]
    return Deployment({"transaction": event}, {spec.name: spec for spec in specs}, {}, {}, "0" * 32)


def fetched(count: int, cards: int, *, headers: bool) -> dict[int, list[ConsumerRecord]]:
    """Return events as aiokafka hands them over, by partition."""
    rng, partitions = random.Random(1), defaultdict[int, list[ConsumerRecord]](list)
    for n in range(count):
        card = f"card-{rng.randrange(cards):07d}"
        value = json.dumps(
            {"txn_id": f"t{n:09d}", "card": card, "merchant": f"m{n % 500}", "amount": n % 997 / 8,
             "ts": START_US // 1_000 + n * 10}
        ).encode()  # fmt: skip
        log = partitions[at := partition_of(card, PARTITIONS)]
        stated = (
            ("ce_specversion", b"1.0"), ("ce_id", b"t%09d" % n), ("ce_type", b"transaction"),
            ("ce_source", b"/millrace/ingest"), ("ce_time", b"2024-01-01T00:00:00.000000Z"),
        )  # fmt: skip
        time_ms = START_US // 1_000 + n * 10
        log.append(
            ConsumerRecord(
                RAW, at, len(log), time_ms, 1, card.encode(), value, None, 12, len(value), stated if headers else ()
            )
        )
    return partitions


class Nowhere(MemoryOnline):
    """A store that forgets."""

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Hold nothing."""
        return [None] * len(keys)

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Take everything."""


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


async def opened(groups: int, partitions: Sequence[int]) -> Features:
    """Return a handler that has taken its partitions over."""
    declared = deployment(groups)
    features = Features(
        compile_feeds(declared), compile_events(declared), Nowhere(), Broker(), "0", entities_max=2_000_000
    )
    for partition in partitions:
        await features.start(TopicPartition(RAW, partition), None)
    return features


async def by_stage(features: Features, at: TopicPartition, raws: Sequence[ConsumerRecord], budget: Budget) -> None:
    """Do what the handler and the publisher do with one batch, stage by stage."""
    shard, raws = features._shards[at]["card"], list(map(copy, raws))  # as freshly made as by the fetch
    with budget.stage("records"):
        records = records_of(at, raws)
    with budget.stage("admit"):
        admitted = features._intakes[RAW].admit(Batch(at, records), {"card": shard.table.slots}, [])
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
        for parcel in parcelled(rows, {"features": PARTITIONS}):
            for one in packed(lambda: BatchBuilder(BATCH_BYTES, 0), parcel):
                one.batch._build()
    with budget.stage("state to store"):
        for _ in shard.writes(records[0].offset, records[-1].offset + 1):
            pass


async def main(count: int, cards: int, groups: int, *, headers: bool) -> None:
    """Print the budget."""
    logs = fetched(count, cards, headers=headers)
    work = [
        (TopicPartition(RAW, partition), log[first : first + BATCH])
        for partition, log in logs.items()
        for first in range(0, len(log), BATCH)
    ]
    await run_stages(await opened(groups, list(logs)), work[:1], Budget())  # so that what compiles at first use has
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(Budget())
        await run_stages(await opened(groups, list(logs)), work, rounds[-1])
        features = await opened(groups, list(logs))
        with rounds[-1].stage(WHOLE):
            for at, raws in work:
                outcome = await features.on_batch(Batch(at, records_of(at, raws)))
                await outcome.apply()
    print(f"{count} events, {cards} cards, {9 * groups} features, batches of {BATCH}; microseconds an event")
    least = {name: min(budget.spent[name] for budget in rounds) / count * 1e6 for name in rounds[0].spent}
    for name, micros in least.items():
        print(f"{name:28} {micros:8.3f}")
    print(f"{'all stages':28} {sum(least.values()) - least[WHOLE]:8.3f}")


async def run_stages(features: Features, work: Sequence[tuple[TopicPartition, Sequence[ConsumerRecord]]],
                     budget: Budget) -> None:  # fmt: skip
    """Work batches off stage by stage."""
    for at, raws in work:
        await by_stage(features, at, raws, budget)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--cards", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--headers", action="store_true", help="events as ingest sends them")
    arguments = parser.parse_args()
    spare_the_collector()
    asyncio.run(main(arguments.records, arguments.cards, arguments.groups, headers=arguments.headers))
