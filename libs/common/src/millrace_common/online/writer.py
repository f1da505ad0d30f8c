"""The guarded writer: it remembers, per slot, the cursor record that it left, and holds every access against it."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from millrace_common.errors import Fenced, Misconfigured, Unavailable
from millrace_common.online import refusals, scripts
from millrace_common.online.line import Lost, Target
from millrace_common.online.nodes import Call, Nodes
from millrace_common.online.resp import Reply, ReplyError, command
from millrace_common.slots import META_KEY, STORE_FORMAT, Cursor, CursorRecord, Meta, Slot, cursor_of, taken_over

T = TypeVar("T")
CALL_SECONDS_MAX = 5.0
RETRY_SECONDS_MAX = 30.0
TAKES_MAX = 5


class _Left(NamedTuple):
    """A cursor record as it was left, and what of it stays until the slot is taken over again."""

    bytes: bytes
    whole: int


class OnlineWriter:
    """The one writer of the slots that it took.

    A transient error is tried again for `retry_seconds_max`: a repeated call changes nothing, so that an answer that
    got lost does no harm. After that, Unavailable.
    """

    def __init__(self, nodes: Nodes, *, retry_seconds_max: float = RETRY_SECONDS_MAX) -> None:
        self._nodes = nodes
        self._retry_seconds_max = retry_seconds_max
        self._incarnation = secrets.token_hex(8)
        self._calls = 0
        self._partitions = 0
        self._left: dict[Slot, _Left] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, *, retry_seconds_max: float = RETRY_SECONDS_MAX, call_seconds_max: float = CALL_SECONDS_MAX
    ) -> AsyncIterator["OnlineWriter"]:
        """Connect to a server or a cluster. Raises Misconfigured where the store evicts, Unavailable without one."""
        nodes = Nodes(Target.of(url), seconds_max=call_seconds_max)
        try:
            writer = cls(nodes, retry_seconds_max=retry_seconds_max)
            await writer.refuse_eviction()
            yield writer
        finally:
            await nodes.close()

    async def refuse_eviction(self) -> None:
        """Raise Misconfigured where a node may drop keys when it is full (R14)."""
        for info in await self._tried(lambda: self._nodes.each(command(b"INFO", b"memory"))):
            refusals.refuse_eviction(info)

    async def claim(self, partitions: int) -> None:
        """Record how many partitions the store was written for. Raises Misconfigured where it was another number."""
        meta, key = Meta(STORE_FORMAT, partitions), META_KEY.encode()
        put = command(b"SET", key, msgspec.json.encode(meta), b"NX")
        _, found = await self._replies([Call(META_KEY, put), Call(META_KEY, command(b"GET", key))])
        refusals.refuse_other(_bytes(found), meta)
        self._partitions = partitions

    async def take(self, slot: Slot, committed: int | None = None) -> Cursor | None:
        """Take a slot over and return its cursor; None: nothing is applied yet of this set of groups.

        The record that it leaves says from which offset on the slot's values can be trusted: where the cursor is
        missing, or behind what is `committed`, not before all that was acknowledged is applied again.
        """
        for _ in range(TAKES_MAX):
            (reply,) = await self._replies([Call(slot.tag, command(b"GET", slot.cursor_key.encode()))])
            found = _bytes(reply)
            record = taken_over(slot, found, committed, self._token(), self._partitions)
            if record is None:
                assert found is not None
                self._left[slot] = _Left(found, CursorRecord.decode(found).whole)
                return cursor_of(slot, found)
            if await self._stored(slot, {}, (found or b"", record.encode()), b""):
                self._left[slot] = _Left(record.encode(), record.whole)
                return cursor_of(slot, record.encode())
        raise Fenced(f"{slot.cursor_key} changes while it is taken over: another owner is at work")

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of `keys`, read together with the cursor record. Raises Fenced where it is another's."""
        left, cursor_key = self._as_left(slot).bytes, slot.cursor_key.encode()
        step = scripts.KEYS_PER_LOAD_MAX
        parts = [keys[first : first + step] for first in range(0, len(keys), step)]
        calls = [Call(slot.tag, scripts.load_call(cursor_key, part, left)) for part in parts]
        values: list[bytes | None] = []
        for reply in await self._replies(calls, scripts.LOAD) if calls else ():
            if not isinstance(reply, list):
                raise _fenced(slot, "load")
            values += [_bytes(value) for value in reply]
        return values

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Store values and the cursor in one call. Raises Fenced where the record is not as this writer left it.

        The values expire after `ttl_ms` without another write of them, all at one moment; None: never. Whoever gives
        one vouches that state so old matters no more (`millrace_common.slots.ttl_ms`).
        """
        left = self._as_left(slot)
        record = CursorRecord.of(slot, cursor, self._token(), left.whole, self._partitions).encode()
        ttl = b"" if ttl_ms is None else b"%d" % ttl_ms
        if not await self._stored(slot, values, (left.bytes, record), ttl):
            raise _fenced(slot, "write")
        self._left[slot] = left._replace(bytes=record)

    async def check(self, slot: Slot) -> None:
        """Raise Fenced where the cursor record is not as this writer left it."""
        left = self._as_left(slot)
        (found,) = await self._replies([Call(slot.tag, command(b"GET", slot.cursor_key.encode()))])
        if found != left.bytes:
            raise _fenced(slot, "idle check")

    def forget(self, slot: Slot) -> None:
        """Forget a slot that was taken away."""
        self._left.pop(slot, None)

    # --- calls -------------------------------------------------------------------------------------------------------
    def _as_left(self, slot: Slot) -> _Left:
        if slot not in self._left:
            raise Fenced(f"{slot.cursor_key} was taken away")
        return self._left[slot]

    def _token(self) -> str:
        self._calls += 1
        return f"{self._incarnation}.{self._calls}"

    async def _stored(
        self, slot: Slot, values: Mapping[str, bytes], before_after: tuple[bytes, bytes], ttl: bytes
    ) -> bool:
        data = scripts.write_call(slot.cursor_key.encode(), values, before_after, ttl)
        return await self._replies([Call(slot.tag, data)], scripts.WRITE) == [1]

    async def _replies(self, calls: Sequence[Call], script: bytes | None = None) -> list[Reply]:
        """Return the replies of calls, of which none is an error; a node that does not know `script` gets it."""

        async def asked() -> list[Reply]:
            replies = await self._nodes.ask(calls)
            if script is not None and any(_is_unknown(reply) for reply in replies):
                replies = await self._nodes.ask([Call(tag, scripts.in_full(data, script)) for tag, data in calls])
            for reply in replies:
                if isinstance(reply, ReplyError):
                    raise reply
            return replies

        return await self._tried(asked)

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call returns, at the latest try. What a retry takes is made when the first try has failed."""

        async def again() -> T:
            return await call()

        try:
            try:
                return await call()
            except (Lost, ReplyError) as error:
                if not _is_transient(error):
                    raise
            return await AsyncRetrying(
                stop=stop_after_delay(self._retry_seconds_max),
                wait=wait_exponential_jitter(multiplier=0.05, max=1.0, jitter=0.1),
                retry=retry_if_exception(_is_transient),
                reraise=True,
            )(again)
        except ReplyError as error:
            refusals.refuse_login(error)
            raise Unavailable(refusals.told(error)) from error
        except Lost as error:
            raise Unavailable(refusals.told(error)) from error


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, Lost) or (isinstance(error, ReplyError) and error.code in refusals.TRANSIENT)


def _is_unknown(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"


def _bytes(reply: Reply) -> bytes | None:
    if reply is None or isinstance(reply, bytes):
        return reply
    raise Misconfigured(f"the online store holds something else than a string: {reply!r:.100}")


def _fenced(slot: Slot, access: str) -> Fenced:
    return Fenced(f"{access} of {slot.cursor_key}: another owner wrote it, or the store went back")
