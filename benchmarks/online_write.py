"""What a guarded write, a guarded load and a serving read cost: client CPU and wall time per key, on REDIS_URL.

Database 8 of that Redis is flushed.
"""

import os
import time
from collections.abc import Awaitable, Callable

import uvloop
from redis.asyncio import Redis

from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.slots import Cursor, Slot, Wanted

ENTITIES = 300
GROUPS = ("CardSpend@0a1b2c3d", "CardPlaces@1b2c3d4e", "CardDevices@2c3d4e5f")
VALUE_BYTES = 400
PARTITIONS = 4
SET = "0badcafe"
WARM_ROUNDS = 10
ROUNDS = 200
TTL_MS = 3_600_000


def database() -> str:
    """Return the URL with this benchmark's database number."""
    scheme, rest = os.environ.get("REDIS_URL", "redis://127.0.0.1:17179").split("://")
    return f"{scheme}://{rest.split('/')[0]}/8"


def value(offset: int) -> bytes:
    """Return a value's bytes: as much of the header as the guard looks at, then payload."""
    return b"\xf5\x01\0\0" + bytes.fromhex(SET) + offset.to_bytes(8, "little") + b"x" * (VALUE_BYTES - 16)


async def measured(name: str, keys: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Print what a call costs per key; it gets the number of its round."""
    for n in range(WARM_ROUNDS):
        await call(n)
    walls, cpu = [], time.process_time()
    for n in range(WARM_ROUNDS, WARM_ROUNDS + ROUNDS):
        start = time.perf_counter()
        await call(n)
        walls.append(time.perf_counter() - start)
    spent = (time.process_time() - cpu) / ROUNDS
    p50 = sorted(walls)[ROUNDS // 2]
    print(
        f"{name:<34}{keys:>6} keys  client CPU {spent / keys * 1e6:6.2f} us/key  {spent * 1e6:8.1f} us/call  "
        f"p50 {p50 * 1e6:8.1f} us/call"
    )


async def main() -> None:
    """Measure writes, loads and reads."""
    url = database()
    slot = Slot("raw-data", "card", 3, SET)
    ids = [f"card-{n:08d}" for n in range(ENTITIES)]
    keys = [slot.value_key(entity, group) for entity in ids for group in GROUPS]
    async with Redis.from_url(url) as client:
        await client.flushdb()
        async with OnlineWriter.connect(url) as writer, OnlineReader.connect(url) as reader:
            await writer.claim(PARTITIONS)
            for partition in range(PARTITIONS):
                await writer.take(Slot("raw-data", "card", partition, SET))

            async def write(n: int) -> None:
                stored = value(n)
                await writer.write(slot, dict.fromkeys(keys, stored), Cursor(n + 1, {}))

            async def write_expiring(n: int) -> None:
                stored = value(WARM_ROUNDS + ROUNDS + n)
                await writer.write(slot, dict.fromkeys(keys, stored), Cursor(n + 1, {}), ttl_ms=TTL_MS)

            async def load(_: int) -> None:
                await writer.load(slot, keys)

            await measured("guarded write", len(keys), write)
            await measured("guarded write, values expire", len(keys), write_expiring)
            await measured("guarded load", len(keys), load)
            for entities in (1, 100):
                asked = [Wanted("raw-data", "card", entity, group) for entity in ids[:entities] for group in GROUPS]

                async def read(_: int, asked: list[Wanted] = asked) -> None:
                    await reader.read(asked)

                await measured(f"read of {len(GROUPS)} groups, {entities} entities", len(asked), read)
        await client.flushdb()


if __name__ == "__main__":
    uvloop.run(main())
