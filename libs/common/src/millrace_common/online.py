"""The online store in Redis (6.2 or later): guarded calls for its one writer per slot, one MGET per slot for readers.

Redis holds the state itself, so a store that evicts is refused. Exceptions of redis-py end here.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, TryAgainError
from redis.exceptions import TimeoutError as RedisTimeoutError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from millrace_common.errors import Fenced, Misconfigured, Unavailable
from millrace_common.keys import partition_of
from millrace_common.slots import FORMAT, META_KEY, Cursor, Meta, Slot, cursor_of, cursor_record, tag, value_key

Client = Any
"""redis-py types every answer as bytes or text; of this one, which decodes nothing, they are bytes."""
T = TypeVar("T")
_TRANSIENT = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, TryAgainError)
_KEYS_MAX = 1_000
CALL_SECONDS_MAX = 5.0
RETRY_SECONDS_MAX = 30.0

# KEYS: cursor record, values. ARGV: the record as this writer left it ('' for none). Answers nil where it differs.
_LOAD = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return false end
return redis.call('MGET', unpack(KEYS, 2))
"""

# KEYS: cursor record, values. ARGV: the record as left, the record to leave, values. Bytes 4-8 of a value name its set
# of groups, bytes 8-16 its source offset: within a set only newer offsets overwrite. Repeating a call changes nothing.
_WRITE = """
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local old, new = redis.call('GETRANGE', KEYS[i], 4, 15), string.sub(ARGV[i + 1], 5, 16)
  if #old < 12 or string.sub(old, 1, 4) ~= string.sub(new, 1, 4)
     or struct.unpack('<i8', new, 5) > struct.unpack('<i8', old, 5) then
    redis.call('SET', KEYS[i], ARGV[i + 1])
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class OnlineWriter:
    """The guarded writer. It remembers, per slot, the cursor record that it left, and holds every access against it.

    A transient error is tried again for `retry_seconds_max`: a repeated call changes nothing, so that an answer that
    got lost does no harm. After that, Unavailable.
    """

    def __init__(self, client: Client, *, retry_seconds_max: float = RETRY_SECONDS_MAX) -> None:
        self._client = client
        self._load = client.register_script(_LOAD)
        self._write = client.register_script(_WRITE)
        self._retry_seconds_max = retry_seconds_max
        self._incarnation = secrets.token_hex(8)
        self._calls = 0
        self._left: dict[Slot, bytes | None] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, retry_seconds_max: float = RETRY_SECONDS_MAX) -> AsyncIterator["OnlineWriter"]:
        """Open a connection pool. Raises Misconfigured where the store evicts, Unavailable where there is none."""
        async with _connected(url, call_seconds_max=CALL_SECONDS_MAX) as client:
            writer = cls(client, retry_seconds_max=retry_seconds_max)
            await writer.refuse_eviction()
            yield writer

    async def refuse_eviction(self) -> None:
        """Raise Misconfigured where the store may drop keys when it is full: nobody could see the loss (R14)."""
        policy = (await self._tried(lambda: self._client.info("memory"))).get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise Misconfigured(
                f"Redis has maxmemory-policy {policy}; it holds state that must not be evicted: "
                "set maxmemory-policy noeviction"
            )

    async def claim(self, partitions: int) -> None:
        """Record how many partitions the store was written for. Raises Misconfigured where it was another number."""
        meta = Meta(FORMAT, partitions)

        async def claimed() -> bytes | None:
            await self._client.set(META_KEY, msgspec.json.encode(meta), nx=True)
            found: bytes | None = await self._client.get(META_KEY)
            return found

        refuse_other(await self._tried(claimed), meta)

    async def take(self, slot: Slot) -> Cursor | None:
        """Take a slot over as it stands; None: nothing is stored of this set of groups."""
        record: bytes | None = await self._tried(lambda: self._client.get(slot.cursor_key))
        self._left[slot] = record
        return cursor_of(slot, record)

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of `keys`, read together with the cursor record. Raises Fenced where it is another's."""
        left, values = self._as_left(slot) or b"", list[bytes | None]()
        for first in range(0, len(keys), _KEYS_MAX):
            named = [slot.cursor_key, *keys[first : first + _KEYS_MAX]]
            answer = await self._tried(lambda named=named: self._load(keys=named, args=[left]))  # type: ignore[misc]  # mypy cannot type a lambda with a default
            if answer is None:
                raise _fenced(slot, "load")
            values += answer
        return values

    async def write(self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor) -> None:
        """Store values and the cursor in one call. Raises Fenced where the record is not as this writer left it."""
        left = self._as_left(slot) or b""
        self._calls += 1
        record = cursor_record(slot, cursor, f"{self._incarnation}.{self._calls}")
        keys = [slot.cursor_key, *values]
        if not await self._tried(lambda: self._write(keys=keys, args=[left, record, *values.values()])):
            raise _fenced(slot, "write")
        self._left[slot] = record

    async def check(self, slot: Slot) -> None:
        """Raise Fenced where the cursor record is not as this writer left it."""
        if await self._tried(lambda: self._client.get(slot.cursor_key)) != self._as_left(slot):
            raise _fenced(slot, "idle check")

    def forget(self, slot: Slot) -> None:
        """Forget a slot that was taken away."""
        self._left.pop(slot, None)

    def _as_left(self, slot: Slot) -> bytes | None:
        if slot not in self._left:
            raise Fenced(f"{slot.cursor_key} was taken away")
        return self._left[slot]

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_delay(self._retry_seconds_max),
                wait=wait_exponential_jitter(multiplier=0.05, max=1.0, jitter=0.1),
                retry=retry_if_exception_type(_TRANSIENT),
                reraise=True,
            ):
                with attempt:
                    return await call()
        except RedisError as error:
            raise Unavailable(f"redis: {error}") from error
        raise AssertionError("a retry ends with a result or an error")


class OnlineReader:
    """Reads values for serving: one MGET per slot, all in one round trip."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._partitions = 0

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, call_seconds_max: float = 1.0) -> AsyncIterator["OnlineReader"]:
        """Open a connection pool; nothing is asked of the store yet."""
        async with _connected(url, call_seconds_max=call_seconds_max) as client:
            yield cls(client)

    async def read(self, wanted: Sequence[tuple[str, str, str]]) -> list[bytes | None]:
        """Return the value of each (entity type, entity id, group key), None where there is none.

        Raises Unavailable where the store does not answer.
        """
        try:
            partitions = self._partitions or await self._known_partitions()
            if not wanted or not partitions:
                return [None] * len(wanted)
            slots: dict[str, list[int]] = {}
            keys = []
            for place, (entity_type, entity_id, group_key) in enumerate(wanted):
                slot_tag = tag(entity_type, partition_of(entity_id, partitions))
                slots.setdefault(slot_tag, []).append(place)
                keys.append(value_key(slot_tag, entity_id, group_key))
            return await self._read(keys, list(slots.values()))
        except RedisError as error:
            raise Unavailable(f"redis: {error}") from error

    async def _read(self, keys: list[str], slots: list[list[int]]) -> list[bytes | None]:
        if len(slots) == 1:
            found: list[bytes | None] = await self._client.mget(keys)
            return found
        pipeline = self._client.pipeline(transaction=False)
        for places in slots:
            pipeline.mget([keys[place] for place in places])
        values: list[bytes | None] = [None] * len(keys)
        for places, answers in zip(slots, await pipeline.execute(), strict=True):
            for place, answer in zip(places, answers, strict=True):
                values[place] = answer
        return values

    async def _known_partitions(self) -> int:
        found = await self._client.get(META_KEY)
        if found is not None:
            meta = msgspec.json.decode(found, type=Meta)
            refuse_other(found, Meta(FORMAT, meta.partitions))
            self._partitions = meta.partitions
        return self._partitions


def refuse_other(found: bytes | None, meta: Meta) -> None:
    """Raise Misconfigured where a store was written for other partitions or in another format."""
    held = msgspec.json.decode(found, type=Meta) if found else None
    if held != meta:
        raise Misconfigured(
            f"the online store has {held}, raw-data {meta}: where an entity lies would differ. Point REDIS_URL at an "
            "empty store: features fills it from raw-data, which must reach back by the longest window"
        )


@asynccontextmanager
async def _connected(url: str, *, call_seconds_max: float) -> AsyncIterator[Client]:
    client: Client = Redis.from_url(
        url,
        socket_timeout=call_seconds_max,
        socket_connect_timeout=call_seconds_max,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        await client.aclose()


def _fenced(slot: Slot, access: str) -> Fenced:
    return Fenced(f"{access} of {slot.cursor_key}: another owner wrote it, or the store went back")
