"""An open load: events at a stated rate for a stated time, whatever the broker and the readers do."""

import argparse
import asyncio
import bisect
import json
import time

import uvloop
from aiokafka import AIOKafkaProducer
from benchmarks.features.drivers.rows import producer, send
from benchmarks.features.events import Workload, loads

TICK_SECONDS = 0.005
PARTITIONS = 4
Event = tuple[bytes, bytes, int]


async def play(to: AIOKafkaProducer, topic: str, events: list[Event], rate: float) -> float:
    """Send the events on their schedule; return seconds from the first to the last.

    A sender for each partition sends what is due, awaits the acknowledgement and looks again: a slow broker gets
    greater batches, never fewer events.
    """
    parts: dict[int, list[tuple[int, bytes, bytes]]] = {partition: [] for partition in range(PARTITIONS)}
    for number, (key, value, partition) in enumerate(events):
        parts[partition].append((number, key, value))
    started = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for partition, part in parts.items():
            tasks.create_task(_sender(to, topic, partition, part, _Schedule(started, rate)))
    return time.monotonic() - started


class _Schedule:
    def __init__(self, started: float, rate: float) -> None:
        self.started, self.rate = started, rate

    def due(self) -> int:
        """Return the number of the first event whose time has not come."""
        return int((time.monotonic() - self.started) * self.rate)


async def _sender(
    to: AIOKafkaProducer, topic: str, partition: int, part: list[tuple[int, bytes, bytes]], schedule: _Schedule
) -> None:
    numbers, sent = [number for number, _, _ in part], 0
    while sent < len(part):
        due = bisect.bisect_left(numbers, schedule.due(), lo=sent)
        await send(to, topic, partition, [(key, value) for _, key, value in part[sent:due]])
        sent = due
        await asyncio.sleep(TICK_SECONDS)


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
