"""What a great state costs: memory and Redis for each key, a restart with it, and Redis emptied under it."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaConsumer
from benchmarks.features.events import Workload
from benchmarks.features.programs import Place, millrace
from benchmarks.features.servers import Servers
from benchmarks.features.throughput import Measured, place_of, running
from benchmarks.features.topics import Topics, opened
from redis import Redis

from millrace_cli.programs import await_ready
from millrace_common.errors import Unavailable
from millrace_common.slots import CursorRecord

SETTLE_SECONDS_MAX = 600.0
POLL_SECONDS = 0.1
LATER_EVENTS = 1_000
ASKED = 1_000
_WRITE_TIME = slice(32, 40)


@dataclass(frozen=True, slots=True)
class Store:
    """What lies in Redis: how many keys, their bytes for each card, one digest of all values."""

    keys: int
    bytes_per_card: float
    digest: str


def measure(servers: Servers, cards: int) -> dict[str, object]:
    """Process one event of each card; start again with that state; empty Redis and start again."""
    return asyncio.run(_measure(place_of(servers), cards))


async def _measure(place: Place, cards: int) -> dict[str, object]:
    topics, redis = Topics(place.servers.bootstrap, place.prefix), place.servers.redis(place.database)
    each = Workload("each card once", cards, cards, "each")
    redis.flushdb()
    await topics.create()
    await topics.fill(each)
    try:
        filled = await _filled(place, topics, redis)
        await topics.fill(replace(each, events=LATER_EVENTS, first=cards, start_ms=each.start_ms + each.span_ms))
        restarted = await _started(place, topics, cards)
        kept = store(redis, cards)
        redis.flushdb()
        rebuilt = await _filled(place, topics, redis)
        again = store(redis, cards)
    finally:
        redis.flushdb()
        await topics.delete()
    return {
        "cards": cards,
        "fill": filled,
        "restart_first_row_seconds": restarted,
        "rebuild": rebuilt,
        "rebuilt_exactly": kept.digest == again.digest,
        "redis_keys": kept.keys,
        "redis_bytes_per_card": kept.bytes_per_card,
    }


async def _filled(place: Place, topics: Topics, redis: Redis) -> dict[str, float]:
    """Run the service from an empty store until every event is in it."""
    of = millrace(place, "BASE")
    started = time.monotonic()
    with running(of) as service:
        await_ready(of, service.process)
        empty = service.usage()
        await settled(topics, redis, service)
        whole, seconds = service.usage(), time.monotonic() - started
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(whole.seconds, 2),
        "rss_mib_empty": round(empty.rss_bytes / (1 << 20), 1),
        "rss_mib": round(whole.rss_bytes / (1 << 20), 1),
    }


async def _started(place: Place, topics: Topics, rows_before: int) -> float:
    """Start the service on its state with events waiting; return seconds until the broker has its first new row."""
    started_ms = time.time() * 1_000
    with running(millrace(place, "BASE")) as service:
        redis = place.servers.redis(place.database)
        await settled(topics, redis, service)
    taken = (await topics.rows()).taken_ms
    if len(taken) != rows_before + LATER_EVENTS:
        raise Unavailable(f"{len(taken)} rows for {rows_before + LATER_EVENTS} events")
    return round(float(taken[rows_before] - started_ms) / 1_000, 2)


async def settled(topics: Topics, redis: Redis, service: Measured) -> None:
    """Return when the store's cursors stand at the ends of the source topic."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    async with opened(AIOKafkaConsumer(bootstrap_servers=topics.bootstrap)) as consumer:
        ends = await topics.ends(topics.source, consumer)
    wanted = {partition: end for partition, end in ends.items() if end}
    while cursors(redis, tuple(wanted)) != wanted:
        service.usage()
        if time.monotonic() > deadline:
            raise Unavailable(f"not settled within {SETTLE_SECONDS_MAX:g} s")
        await asyncio.sleep(POLL_SECONDS)


def cursors(redis: Redis, partitions: tuple[int, ...]) -> dict[int, int]:
    """Return up to which offset each partition is applied; 0 where nothing is."""
    records: list[bytes | None] = redis.mget([f"fs:{{card.{partition}}}:c:raw-data:live" for partition in partitions])  # type: ignore[assignment]  # redis-py says bytes or text
    return {
        partition: CursorRecord.decode(record).offset if record else 0
        for partition, record in zip(partitions, records, strict=True)
    }


def store(redis: Redis, cards: int) -> Store:
    """Read all of it. Cursor records and the time of writing differ between two writers of one state."""
    total, whole, keys = 0, 0, 0
    names = []
    for name in redis.scan_iter("fs:{card.*", count=10_000):
        names.append(name)
        if len(names) == ASKED:
            keys, whole, total = _folded(redis, names, keys, whole, total)
            names = []
    keys, whole, total = _folded(redis, names, keys, whole, total)
    return Store(keys, round(total / cards, 1), f"{whole:032x}")


def _folded(redis: Redis, names: list[bytes], keys: int, whole: int, total: int) -> tuple[int, int, int]:
    names = [name for name in names if b":c:" not in name]
    if not names:
        return keys, whole, total
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.memory_usage(name)
    total += sum(pipeline.execute())
    for name, value in zip(names, redis.mget(names), strict=True):
        stated = bytearray(value)  # type: ignore[arg-type]  # redis-py types bytes as bytes or text
        if b":v:" in name:
            stated[_WRITE_TIME] = bytes(8)
        digest = hashlib.blake2b(name + b"=" + stated, digest_size=16).digest()
        whole = (whole + int.from_bytes(digest)) % (1 << 128)
    return keys + len(names), whole, total


def per_key(restart: dict[str, object]) -> float:
    """Return bytes of process memory for each card: what was added while the state grew from nothing."""
    fill, cards = restart["fill"], restart["cards"]
    assert isinstance(fill, dict)
    assert isinstance(cards, int)
    return float(round((fill["rss_mib"] - fill["rss_mib_empty"]) * (1 << 20) / cards, 1))
