"""Reading three groups online, single and by the hundred, beside Feast on the same Redis with the same values."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.features import curve
from benchmarks.features.events import Workload
from benchmarks.features.machine import ROOT, measured
from benchmarks.features.programs import Place, millrace
from benchmarks.features.restart import settled, store
from benchmarks.features.servers import Servers
from benchmarks.features.throughput import place_of, running
from benchmarks.features.topics import Topics
from redis import Redis

EVENTS_PER_CARD = 8
FEAST_DATABASE = 1
SECONDS_MAX = 600
Times = dict[str, list[float]]


def measure(servers: Servers, cards: int, reads: int, repeats: int) -> dict[str, object]:
    """Fill the store through the service, hand the values to Feast, read from both in turn."""
    return asyncio.run(_measure(place_of(servers), cards, reads, repeats))


async def _measure(place: Place, cards: int, reads: int, repeats: int) -> dict[str, object]:
    topics, redis = Topics(place.servers.bootstrap, place.prefix), place.servers.redis(place.database)
    of = Workload("read", cards, cards * EVENTS_PER_CARD, "each")
    peer = place.servers.redis(FEAST_DATABASE)
    redis.flushdb()
    await topics.create()
    await topics.fill(of)
    try:
        with running(millrace(place, "THREE_GROUPS")) as service:
            await settled(topics, redis, service)
        at_us = (of.start_ms + of.span_ms) * 1_000
        repeated = _in_turn(place, cards, reads, repeats, at_us)
        sizes = {"millrace": store(redis, cards).bytes_per_card, "feast": bytes_of(peer) / cards}
    finally:
        redis.flushdb()
        peer.flushdb()
        await topics.delete()
    return {"cards": cards, "repeats": repeated, "redis_bytes_per_card": sizes}


def _in_turn(place: Place, cards: int, reads: int, repeats: int, at_us: int) -> list[dict[str, object]]:
    servers = place.servers
    names, values = servers.folder / "cards.json", servers.folder / "values.json"
    names.write_text(json.dumps([f"c{card:07}" for card in range(cards)]))
    ours: dict[str, object] = {"--redis": servers.redis_url(place.database), "--at-us": at_us}
    theirs = {"--redis": f"127.0.0.1:{servers.redis_port},db={FEAST_DATABASE}", "--folder": servers.folder}
    feast = str(ROOT / ".bench" / "feast" / "bin" / "python")
    found: list[dict[str, object]] = []
    for seed in range(repeats):
        shared = {"--cards": names, "--reads": reads, "--seed": seed}
        export = {"--export": values} if not found else {}
        mine = _times(sys.executable, "millrace_read", {**ours, **shared, **export})
        more = ("--fill",) if not found else ()
        peer = _times(feast, "feast_read", {**theirs, **shared, "--values": values}, *more)
        if not peer.pop("agrees"):
            raise ValueError("Feast answers with other values than it was given")
        found.append({"millrace": _figures(mine), "feast": _figures(peer)})
    return found


def _figures(times: Times) -> dict[str, dict[str, float]]:
    return {name: curve.quantiles(seconds) for name, seconds in times.items()}


def _times(python: str, module: str, words: Mapping[str, object], *more: str) -> Times:
    command = (python, "-m", f"benchmarks.features.drivers.{module}")
    given = [str(word) for pair in words.items() for word in pair]
    whole = measured((*command, *given, *more))
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with code {done.returncode}\n{done.stderr[-2_000:]}")
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return times


def bytes_of(redis: Redis) -> int:
    """Return what all keys of a database take."""
    pipeline = redis.pipeline(transaction=False)
    for name in redis.scan_iter(count=10_000):
        pipeline.memory_usage(name)
    return int(sum(pipeline.execute()))
