"""An open load: events at a stated rate for a stated time, whatever the broker and the readers do."""

import argparse
import asyncio
import json
import time
from collections import defaultdict

import uvloop
from aiokafka import AIOKafkaProducer
from benchmarks.features.drivers.rows import producer
from benchmarks.features.events import Workload, loads

TICK_SECONDS = 0.005
PARTITIONS = 4
FLIGHT_MAX = 400
"""Batches whose acknowledgement is not there yet."""
Event = tuple[bytes, bytes, int]


async def play(to: AIOKafkaProducer, topic: str, events: list[Event], rate: float) -> float:
    """Send the events on their schedule; return seconds from the first to the last."""
    started, sent = time.monotonic(), 0
    flight = asyncio.Semaphore(FLIGHT_MAX)
    async with asyncio.TaskGroup() as tasks:
        while sent < len(events):
            due = min(len(events), int((time.monotonic() - started) * rate))
            parts: defaultdict[int, list[Event]] = defaultdict(list)
            for event in events[sent:due]:
                parts[event[2]].append(event)
            for partition, part in parts.items():
                await flight.acquire()
                tasks.create_task(_sent(to, topic, partition, part, flight))
            sent = due
            await asyncio.sleep(TICK_SECONDS)
    return time.monotonic() - started


async def _sent(to: AIOKafkaProducer, topic: str, partition: int, part: list[Event], flight: asyncio.Semaphore) -> None:
    try:
        batch = to.create_batch()
        for key, value, _ in part:
            batch.append(key=key, value=value, timestamp=None)
        await (await to.send_batch(batch, topic, partition=partition))
    finally:
        flight.release()


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
    events: list[Event] = []
    for load in loads(workload, PARTITIONS):
        events += zip(load.keys, load.values, load.partitions.tolist(), strict=True)
    to = producer(given.bootstrap)
    await to.start()
    print("ready", flush=True)
    taken = await play(to, given.topic, events, given.rate)
    await to.stop()
    print(json.dumps({"events": count, "seconds": taken}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
