"""Where one core-second goes: py-spy's samples of the thread that holds the interpreter, by the module at work."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from benchmarks.features.events import Workload
from benchmarks.features.machine import ROOT
from benchmarks.features.programs import millrace
from benchmarks.features.servers import Servers
from benchmarks.features.throughput import Measured, place_of, running
from benchmarks.features.topics import Topics, opened

SAMPLES_PER_SECOND = 199
FIRST_ROW_SECONDS_MAX = 60


def measure(servers: Servers, workload: Workload, seconds: float) -> dict[str, object]:
    """Return the share of samples by module and by function."""
    return asyncio.run(_measure(servers, workload, seconds))


async def _measure(servers: Servers, workload: Workload, seconds: float) -> dict[str, object]:
    place = place_of(servers)
    topics, redis = Topics(servers.bootstrap, place.prefix), servers.redis(place.database)
    redis.flushdb()
    await topics.create()
    await topics.fill(workload)
    try:
        with running(millrace(place, "BASE")) as service:
            await _row(topics, service)
            await asyncio.sleep(1.0)
            lines = await asyncio.to_thread(_record, service, seconds, servers.folder / f"{place.prefix}stacks")
            service.usage()
    finally:
        redis.flushdb()
        await topics.delete()
    return {
        "samples": folded(lines, module).total(),
        "modules": shares(folded(lines, module)),
        "functions": shares(folded(lines, function)),
    }


async def _row(topics: Topics, service: Measured) -> None:
    async with (
        asyncio.timeout(FIRST_ROW_SECONDS_MAX),
        opened(AIOKafkaConsumer(bootstrap_servers=topics.bootstrap)) as consumer,
    ):
        while not sum((await topics.ends(topics.target, consumer)).values()):
            service.usage()
            await asyncio.sleep(0.1)


def _record(service: Measured, seconds: float, path: Path) -> list[str]:
    words: dict[str, object] = {
        "--format": "raw",
        "--rate": SAMPLES_PER_SECOND,
        "--duration": int(seconds),
        "--output": path,
        "--pid": service.process.pid,
    }
    spy = (str(ROOT / ".bench" / "profiler" / "bin" / "py-spy"), "record", "--full-filenames", "--gil")
    given = [str(word) for pair in words.items() for word in pair]
    subprocess.run((*spy, *given), check=True, capture_output=True, timeout=seconds * 5 + 30)
    return path.read_text().splitlines()


def folded(lines: Iterable[str], by: Callable[[str], str]) -> Counter[str]:
    """Return samples by what `by` says of the innermost frame; a line is `frame;frame;frame count`."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        found[by(stack.rpartition(";")[2])] += int(count)
    return found


def module(frame: str) -> str:
    """Return the module of a frame.

    >>> module("send (/x/lib/python3.11/site-packages/aiokafka/producer/sender.py:12)")
    'aiokafka.producer.sender'
    >>> module("get (/x/libs/common/src/millrace_common/online.py:3)")
    'millrace_common.online'
    """
    path = frame.rpartition(" (")[2].rstrip(")").rpartition(":")[0]
    for root in ("/site-packages/", "/src/", "/lib/python3.11/", "/lib/python3.12/"):
        if root in path:
            path = path.rpartition(root)[2]
            break
    return path.removesuffix(".py").removesuffix("/__init__").strip("/").replace("/", ".") or "(native)"


def function(frame: str) -> str:
    """Return module and function of a frame."""
    return f"{module(frame)}:{frame.partition(' (')[0]}"


def shares(counted: Counter[str], most: int = 20) -> dict[str, float]:
    """Return the greatest shares, in percent."""
    whole = max(1, counted.total())
    return {name: round(100 * count / whole, 1) for name, count in counted.most_common(most)}
