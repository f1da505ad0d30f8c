"""Events per second of one driver on a topic that is already full: from the broker's own times of the rows."""

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from benchmarks.features import curve, machine
from benchmarks.features.agreement import Features, features_of
from benchmarks.features.events import Workload
from benchmarks.features.machine import Usage
from benchmarks.features.pace import pace
from benchmarks.features.programs import ROW_BYTES, Place, program
from benchmarks.features.servers import Servers
from benchmarks.features.topics import Topics, opened

from millrace_cli.programs import Program, start, stop, tail
from millrace_common.errors import Unavailable

NUMBERS = itertools.count(1)
START_SECONDS_MAX = 90.0
POLL_SECONDS = 0.2
STEPS_MIN = 10
STEPS_PATIENCE = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. CPU and rows count from the first look at rows to the last."""

    events_per_second: float
    cpu_us_per_event: float
    system_share: float
    rss_mib: float
    rows: int
    row_bytes: float
    redis_keys: int
    first_row_seconds: float
    """From the start of the process."""
    loop_us: int
    """How fast the core was meanwhile: see `pace`."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to run on which events. A slow driver is stopped `seconds_max` after its first row."""

    driver: str
    workload: Workload
    pipeline: str = "BASE"
    seconds_max: float = 30.0
    row_bytes: int = ROW_BYTES


@dataclass(frozen=True, slots=True)
class Measured:
    """A process that is measured."""

    program: Program
    process: subprocess.Popen[bytes]

    def usage(self) -> Usage:
        """Return what it has used so far. Raises Unavailable with the end of its log where it ended."""
        if self.process.poll() is not None:
            raise Unavailable(
                f"{self.program.name} ended with code {self.process.returncode}\n{tail(self.program.log)}"
            )
        return machine.usage(self.process.pid)


def place_of(servers: Servers, database: int = 0) -> Place:
    """Return a place that no other run has."""
    return Place(servers, f"b{next(NUMBERS)}-", database)


@contextmanager
def running(of: Program) -> Iterator["Measured"]:
    """Run a program for as long as the block lasts."""
    process = start(of)
    try:
        yield Measured(of, process)
    finally:
        stop(process)


def sample(servers: Servers, run: Run) -> tuple[Sample, Features]:
    """Make one run: fill, start, watch, stop, read the rows, clear away. Return some of the rows' features too."""
    return asyncio.run(_sample(place_of(servers), run))


async def _sample(place: Place, run: Run) -> tuple[Sample, Features]:
    topics = Topics(place.servers.bootstrap, place.prefix)
    redis = place.servers.redis(place.database)
    redis.flushdb()
    await topics.create()
    await topics.fill(run.workload)
    os.sync()  # what the driver before left to be written costs whoever comes next: up to a quarter of ours
    try:
        started = time.time()
        of = program(run.driver, place, run.pipeline, row_bytes=run.row_bytes)
        with running(of) as process, pace() as core:
            watched = await _watched(topics, run, process)
        rows = await topics.rows()
    finally:
        keys = redis.dbsize()
        redis.flushdb()
        await topics.delete()
    used, count = watched.used, max(1, watched.rows)
    figures = Sample(
        events_per_second=round(curve.rate(rows.taken_ms)),
        cpu_us_per_event=round(used.seconds * 1e6 / count, 2),
        system_share=round(used.system_seconds / max(used.seconds, 1e-9), 3),
        rss_mib=round(watched.used.rss_bytes / (1 << 20), 1),
        rows=len(rows.taken_ms),
        row_bytes=round(rows.size_bytes / len(rows.taken_ms), 1),
        redis_keys=keys,
        first_row_seconds=round(float(rows.taken_ms[0] / 1_000) - started, 2),
        loop_us=core.loop_us,
    )
    return figures, features_of(rows.some) if run.pipeline == "BASE" else {}


@dataclass(frozen=True, slots=True)
class _Watched:
    used: Usage
    rows: int


async def _watched(topics: Topics, run: Run, process: Measured) -> _Watched:
    """Look at the topic of rows until it has one for each event, or the time is over."""
    async with opened(AIOKafkaConsumer(bootstrap_servers=topics.bootstrap)) as consumer:
        before, first = await _first_row(topics, process, consumer)
        deadline = time.monotonic() + run.seconds_max
        seen, steps = first, 0
        while seen < run.workload.events and not _is_enough(steps, time.monotonic() - deadline, run):
            await asyncio.sleep(POLL_SECONDS)
            was, seen = seen, sum((await topics.ends(topics.target, consumer)).values())
            steps += seen > was
        after = process.usage()
    used = Usage(
        after.user_seconds - before.user_seconds, after.system_seconds - before.system_seconds, after.rss_bytes
    )
    return _Watched(used, seen - first)


def _is_enough(steps: int, late_seconds: float, run: Run) -> bool:
    """Say whether a slow driver was watched for its time, and was seen to move often enough to tell a rate."""
    return late_seconds > 0 and (steps >= STEPS_MIN or late_seconds > STEPS_PATIENCE * run.seconds_max)


async def _first_row(topics: Topics, process: Measured, consumer: AIOKafkaConsumer) -> tuple[Usage, int]:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        before = process.usage()
        seen = sum((await topics.ends(topics.target, consumer)).values())
        if seen:
            return before, seen
        await asyncio.sleep(POLL_SECONDS / 4)
    raise Unavailable(f"no row within {START_SECONDS_MAX:g} s")
