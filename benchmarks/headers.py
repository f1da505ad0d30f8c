"""What CloudEvents headers cost on the two hot topics: CPU to write and to read them, and bytes on the wire.

    KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:17192 python -m benchmarks.headers [--records 100000]

Each variant writes the same feature rows (a spine row with one group of eight features) in whole batches and reads them
back; the values carry every attribute anyway. Times are of this process's CPU; the median of five rounds.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop
from msgspec import structs

from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.codec import encode, encode_value
from millrace_common.messages import FeatureRow, Position, Prediction, Scalar
from millrace_common.messages.prediction import GroupFacts
from millrace_common.records import Batch, Headers, Outgoing
from millrace_common.service import Service
from millrace_common.topics import FEATURES, PREDICTIONS, Topic

ROUNDS = 5
CHUNK = 5_000
VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "ce_type": ("ce_type",),
    "ce_type, ce_id": ("ce_type", "ce_id"),
    "required (specversion, id, type, source)": ("ce_specversion", "ce_id", "ce_type", "ce_source"),
    "all (required, time, correlation, causation)": (
        "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_correlationid", "ce_causationid",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one variant: microseconds of CPU a record to write and to read, header bytes a record."""

    write_us: float
    read_us: float
    header_bytes: int


def row(i: int) -> FeatureRow:
    """Return a spine row as the features service emits it."""
    values: dict[str, Scalar] = {
        f"{name}_{window}": i * 0.25 for name in ("n", "mean", "big", "shops") for window in ("1m", "24h")
    }
    return FeatureRow(
        row_id=f"{i:032x}", event_type="transaction", event_id=f"t{i}", entity_type="card", entity_id=f"c{i % 997}",
        spine=True, event_time_us=1_700_000_000_000_000 + i, append_time_us=1_700_000_000_500_000 + i,
        source=Position(topic="raw-data", partition=i % 4, offset=i), groups={"CardSpend@0badcafe": values},
        fields={"amount": 12.5, "merchant": "m17"}, correlation_id=f"{i:032x}", causation_id=f"{i:032x}",
    )  # fmt: skip


def prediction(i: int) -> Prediction:
    """Return a scored row as serving emits it."""
    age = GroupFacts(status="fresh", age_ms=12, source=Position(topic="raw-data", partition=i % 4, offset=i))
    return Prediction(
        prediction_id=f"{i:032x}", model="fraud", version="3", digest="sha256:" + "a" * 64, epoch=3, role="answer",
        arm="champion", propensity=1.0, via="stream", outcome="ok", event_type="transaction", event_id=f"t{i}",
        row_id=f"{i:032x}", entities={"card": f"c{i % 997}"}, at_us=1_700_000_000_000_000 + i,
        served_us=1_700_000_000_500_000 + i, score=0.25, decision=False, threshold=0.5, view_hash="ab" * 16,
        vector=(0.25,) * 10, vector_rate=1.0, groups={"CardSpend@0badcafe": age}, correlation_id=f"{i:032x}",
        causation_id=f"{i:032x}",
    )  # fmt: skip


def keeping(headers: Headers, names: Sequence[str]) -> Headers:
    """Return the headers of these names."""
    return tuple(header for header in headers if header[0] in names)


async def cost(bus: KafkaBus, records: list[Outgoing], topic: str) -> Cost:
    """Write the records to the topic and read them back."""
    writes, reads = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        for first in range(0, len(records), CHUNK):
            await bus.publish(records[first : first + CHUNK])
        writes.append(time.process_time() - started)
    for _ in range(ROUNDS):
        started = time.process_time()
        await read_whole(bus, topic, len(records) * ROUNDS)
        reads.append((time.process_time() - started) / ROUNDS)
    size = sum(len(name) + len(value) for name, value in records[0].headers)
    scale = 1e6 / len(records)
    return Cost(statistics.median(writes) * scale, statistics.median(reads) * scale, size)


async def read_whole(bus: KafkaBus, topic: str, count: int) -> None:
    """Follow a topic until so many records were read."""
    read, whole = 0, asyncio.Event()

    async def follow(batch: Batch) -> None:
        nonlocal read
        read += len(batch.records)
        if read >= count:
            whole.set()

    running = asyncio.create_task(bus.run(Service("benchmark").follow(topic, follow)))
    waiting = asyncio.create_task(whole.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait([running])


def encoding_us(make: Callable[[int], FeatureRow | Prediction], count: int) -> tuple[float, float, int]:
    """Return microseconds to encode a message with its headers, without them, and the bytes of its value."""
    messages = [make(i) for i in range(count)]
    whole, value = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        for message in messages:
            encode(message)
        middle = time.process_time()
        for message in messages:
            encode_value(message)
        whole.append(middle - started)
        value.append(time.process_time() - middle)
    scale = 1e6 / count
    return statistics.median(whole) * scale, statistics.median(value) * scale, len(encode_value(messages[0]))


async def main(count: int) -> None:
    """Print the table."""
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:17192")
    prefix = f"headers-{time.time_ns()}."
    for topic, make in ((FEATURES.name, row), (PREDICTIONS.name, prediction)):
        whole, value, size = encoding_us(make, count)
        print(f"{topic}: value {size} B, encode {value:.2f} us, encode with headers {whole:.2f} us")
        print(f"  {'headers':46} {'write us':>9} {'read us':>9} {'bytes':>6}")
        for number, (name, names) in enumerate(VARIANTS.items()):
            place = Topic(f"{topic}-{number}", "benchmark")
            await create_topics(bootstrap, [place], prefix=prefix, partitions=4)
            encoded = [encode(make(i)) for i in range(count)]
            records = [structs.replace(o, topic=place.name, headers=keeping(o.headers, names)) for o in encoded]
            async with KafkaBus(KafkaOptions(bootstrap, prefix=prefix)) as bus:
                found = await cost(bus, records, place.name)
            print(f"  {name:46} {found.write_us:9.2f} {found.read_us:9.2f} {found.header_bytes:6}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    uvloop.run(main(parser.parse_args().records))
