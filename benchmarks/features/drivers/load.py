"""An open load: events at a stated rate for a stated time, whatever the broker and the readers do."""

import argparse
import asyncio
import gc
import json
import time
from dataclasses import dataclass

import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from benchmarks.features.drivers.rows import producer
from benchmarks.features.events import Workload, loads

TICK_SECONDS = 0.005
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Due:
    """A whole batch of one partition, and when it is to be sent, in seconds from the start."""

    at: float
    partition: int
    batch: BatchBuilder


def prepared(to: AIOKafkaProducer, workload: Workload, rate: float) -> list[Due]:
    """Return what each partition gets in each tick, by time: packed before the load begins, which shares its core."""
    batches: dict[tuple[int, int], BatchBuilder] = {}
    events = (
        event
        for load in loads(workload, PARTITIONS)
        for event in zip(load.keys, load.values, load.partitions.tolist(), strict=True)
    )
    for number, (key, value, partition) in enumerate(events):
        place = int(number / (rate * TICK_SECONDS)), partition
        if place not in batches:
            batches[place] = to.create_batch()
        assert batches[place].append(key=key, value=value, timestamp=None) is not None, "a tick is more than a batch"
    return [Due((tick + 1) * TICK_SECONDS, partition, batch) for (tick, partition), batch in batches.items()]


async def play(to: AIOKafkaProducer, topic: str, due: list[Due]) -> float:
    """Send each batch at its time, whatever became of those before; return seconds from the start to the last."""
    started, acks = time.monotonic(), []
    for one in due:
        wait = started + one.at - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        acks.append(await to.send_batch(one.batch, topic, partition=one.partition))
    await asyncio.gather(*acks)
    return time.monotonic() - started


async def main() -> None:
    """Make the events, then say that they are ready, then send them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--cards", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    count = int(given.rate * given.seconds)
    workload = Workload(
        "live", given.cards, count, span_ms=int(given.seconds * 1_000), start_ms=int(time.time() * 1_000)
    )
    to = producer(given.bootstrap)
    await to.start()
    due = prepared(to, workload, given.rate)
    gc.freeze()
    print("ready", flush=True)
    taken = await play(to, given.topic, due)
    await to.stop()
    print(json.dumps({"events": count, "seconds": taken}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
