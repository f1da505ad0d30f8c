"""From the broker's time of an event to the moment its value can be read in Redis, under an open load."""

import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from benchmarks.features import curve
from benchmarks.features.drivers.rows import producer
from benchmarks.features.events import Workload, loads
from benchmarks.features.machine import LOAD_CORE, ROOT, busy_seconds
from benchmarks.features.pace import pace
from benchmarks.features.programs import DECLARED, Place
from benchmarks.features.restart import settled
from benchmarks.features.servers import Servers
from benchmarks.features.throughput import place_of, running
from benchmarks.features.topics import PARTITIONS, Topics, opened

from millrace.loading import load
from millrace_cli.programs import Program, await_ready
from millrace_common.slots import tag, value_key

CARDS = 10_000
PROBES_PER_SECOND = 50
POLL_SECONDS = 0.002
WARM_SECONDS = 2.0
LEFT_SECONDS_MAX = 10.0
_OFFSET = struct.Struct("<q")
Made = Callable[[Place, str], Program]


@dataclass(slots=True)
class Probes:
    """Events whose values are awaited: (key in Redis, offset, when the broker took it in milliseconds)."""

    waiting: list[tuple[str, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def look(self, values: list[bytes], now: float) -> None:
        """Take note of which values are there: those whose source offset is the probe's or newer."""
        left = []
        for probe, value in zip(self.waiting, values, strict=True):
            if len(value) == _OFFSET.size and _OFFSET.unpack(value)[0] >= probe[1]:
                self.seconds.append(now - probe[2] / 1_000)
            else:
                left.append(probe)
        self.waiting = left


def measure(servers: Servers, rate: float, seconds: float, made: Made) -> dict[str, object]:
    """Return the quantiles at `rate` events per second for `seconds`, of the program that is made."""
    place = place_of(servers)
    return asyncio.run(_measure(place, made(place, "BASE"), rate, seconds))


async def _measure(place: Place, of: Program, rate: float, seconds: float) -> dict[str, object]:
    topics, store = Topics(place.servers.bootstrap, place.prefix), place.servers.redis(place.database)
    store.flushdb()
    await topics.create()
    try:
        with running(of) as service:
            await_ready(of, service.process)
            await topics.fill(Workload("warming", CARDS, CARDS, "each"))
            await settled(topics, store, service)
            os.sync()
            before = service.usage()
            with pace() as core:
                said, probes = await _played(place, topics, rate, seconds)
            used = service.usage().seconds - before.seconds
    finally:
        store.flushdb()
        await topics.delete()
    return {
        "wanted_rate": round(rate),
        "rate": round(said["events"] / said["seconds"]),
        "core_share": round(used / said["seconds"], 3),
        "load_core_share": round(said["load_core_share"], 3),
        "loop_us": core.loop_us,
        "lost": len(probes.waiting),
        **curve.quantiles(probes.seconds),
    }


async def _played(place: Place, topics: Topics, rate: float, seconds: float) -> tuple[dict[str, float], Probes]:
    words = {
        "--bootstrap": topics.bootstrap, "--topic": topics.source, "--cards": str(CARDS), "--rate": str(rate),
        "--seconds": str(seconds + WARM_SECONDS),
    }  # fmt: skip
    player = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.features.drivers.load", *(word for pair in words.items() for word in pair),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert player.stdout is not None
    try:
        await player.stdout.readline()
        began, busy = time.monotonic(), busy_seconds(LOAD_CORE)
        await asyncio.sleep(WARM_SECONDS)
        probes = await _probed(place, topics, seconds)
        share = (busy_seconds(LOAD_CORE) - busy) / (time.monotonic() - began)
        said: dict[str, float] = {"load_core_share": share, **json.loads(await player.stdout.readline())}
    finally:
        if player.returncode is None:
            await player.wait()
    return said, probes


async def _probed(place: Place, topics: Topics, seconds: float) -> Probes:
    """Send a probe of a card of its own on a schedule, and look for all that are out at each turn.

    The look blocks the loop: it takes a tenth of a millisecond, and half of what it takes as a coroutine. It shares its
    core with the servers.
    """
    probes, ended = Probes(), time.monotonic() + seconds
    client = place.servers.redis(place.database)
    async with opened(producer(topics.bootstrap)) as to:
        sending = asyncio.create_task(_send(to, topics.source, probes, seconds))
        while not sending.done() or (probes.waiting and time.monotonic() < ended + LEFT_SECONDS_MAX):
            if probes.waiting:
                pipeline = client.pipeline(transaction=False)
                for key, _, _ in probes.waiting:
                    pipeline.getrange(key, 8, 15)
                values = pipeline.execute()
                probes.look(values, time.time())
            await asyncio.sleep(POLL_SECONDS)
        await sending
    client.close()
    return probes


async def _send(to: AIOKafkaProducer, topic: str, probes: Probes, seconds: float) -> None:
    group = next(iter(load([f"{DECLARED}:BASE"]).groups.values())).key
    started = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number, (key, value, partition) in enumerate(_events(int(seconds * PROBES_PER_SECOND))):
            await asyncio.sleep(max(0.0, started + number / PROBES_PER_SECOND - time.monotonic()))
            stored = value_key(tag("card", partition), key.decode(), group)
            tasks.create_task(_sent(to, topic, (key, value, partition), stored, probes))


async def _sent(to: AIOKafkaProducer, topic: str, event: tuple[bytes, bytes, int], stored: str, probes: Probes) -> None:
    key, value, partition = event
    taken = await to.send_and_wait(topic, value, key, partition=partition)
    probes.waiting.append((stored, taken.offset, taken.timestamp))


def _events(count: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield an event each of cards that the load has not."""
    probes = Workload(
        "probes", count, count, "each", span_ms=1, start_ms=int(time.time() * 1_000), first=10**11, first_card=9 * 10**6
    )
    for part in loads(probes, PARTITIONS):
        yield from zip(part.keys, part.values, part.partitions.tolist(), strict=True)
