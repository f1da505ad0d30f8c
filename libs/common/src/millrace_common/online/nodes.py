"""The server, or the nodes of a cluster: each command goes to the node that has its slot, wherever that moved."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from redis.crc import key_slot

from millrace_common.errors import Misconfigured
from millrace_common.online.line import Address, Line, Lost, Target
from millrace_common.online.resp import Reply, ReplyError, command

T = TypeVar("T")
REDIRECTS_MAX = 5
_ASKING = command(b"ASKING")
_INFO = command(b"INFO", b"cluster")
_SLOTS = command(b"CLUSTER", b"SLOTS")
_ELSEWHERE = frozenset({"MOVED", "ASK"})
_CHANGED = frozenset({"MOVED", "CLUSTERDOWN", "READONLY"})


class Call(NamedTuple):
    """A command on keys of one hash tag, with exactly one reply."""

    tag: str
    bytes: bytes


@lru_cache(maxsize=65_536)
def slot_of(tag: str) -> int:
    """Return the cluster slot of keys that begin with `tag`."""
    return key_slot(tag.encode())


class Nodes:
    """Lines to a store. Whether it is a cluster, and who has which slot, is asked at first use and when it changed.

    Opening is shared and goes on when the one who asked gives up, so that a short deadline does not hinder it.
    """

    def __init__(self, target: Target, *, seconds_max: float) -> None:
        self._target = target
        self._seconds_max = seconds_max
        self._lines: dict[Address, Line] = {}
        self._opening: dict[Address | None, asyncio.Task[Any]] = {}
        self._in_cluster: bool | None = None
        self._owners: dict[int, Address] = {}
        self._is_stale = True

    def ask(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """Return the reply of each call: one flush to each node. Raises Lost, at once or when awaited."""
        line = None if self._is_stale or self._in_cluster else self._lines.get(self._target.address)
        if line is not None and line.is_open:
            return line.ask([call.bytes for call in calls])
        return self._ask(calls)

    async def _ask(self, calls: Sequence[Call]) -> list[Reply]:
        await self._known()
        if not self._in_cluster:
            line = await self._line(self._target.address)
            return await line.ask([call.bytes for call in calls])
        replies: list[Reply] = [None] * len(calls)
        left = list(range(len(calls)))
        asking: dict[int, Address] = {}
        for _ in range(REDIRECTS_MAX):
            await self._ask_nodes(calls, left, asking, replies)
            left = [place for place in left if _code(replies[place]) in _ELSEWHERE]
            if not left:
                break
            asking = self._redirected(calls, left, replies)
        self._is_stale = self._is_stale or any(_code(reply) in _CHANGED for reply in replies)
        return replies

    async def each(self, data: bytes) -> list[Reply]:
        """Return what the server, or each node that has slots, replies to a command."""
        await self._known()
        addresses = sorted(set(self._owners.values())) if self._in_cluster else [self._target.address]
        lines = [await self._line(address) for address in addresses]
        return [(await line.ask([data]))[0] for line in lines]

    async def close(self) -> None:
        """Close every line."""
        for task in [*self._opening.values()]:
            task.cancel()
        for line in self._lines.values():
            line.close()
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn

    # --- one round ---------------------------------------------------------------------------------------------------
    async def _ask_nodes(
        self, calls: Sequence[Call], left: Sequence[int], asking: dict[int, Address], replies: list[Reply]
    ) -> None:
        """Send the calls in `left` to their nodes, at once, and put the replies in their places."""
        by_node: dict[Address, list[int]] = {}
        for place in left:
            by_node.setdefault(asking.get(place) or self._owner(calls[place].tag), []).append(place)

        async def ask_one(address: Address, places: Sequence[int]) -> None:
            commands = [data for place in places for data in _asked(calls[place], asks=place in asking)]
            try:
                answers = await (await self._line(address)).ask(commands)
            except Lost:
                self._is_stale = True
                raise
            own = iter(answers)
            for place in places:
                if place in asking:
                    next(own)
                replies[place] = next(own)

        await _together([ask_one(address, places) for address, places in by_node.items()])

    def _redirected(self, calls: Sequence[Call], left: Sequence[int], replies: Sequence[Reply]) -> dict[int, Address]:
        """Learn from MOVED who owns a slot; return, by place, whom to ask for once."""
        asking = {}
        for place in left:
            reply = replies[place]
            assert isinstance(reply, ReplyError)
            host, _, port = reply.words[2].rpartition(":")
            address = Address(host or self._target.address.host, int(port))
            if reply.code == "ASK":
                asking[place] = address
            else:
                self._owners[slot_of(calls[place].tag)] = address
                self._is_stale = True
        return asking

    def _owner(self, tag: str) -> Address:
        owner = self._owners.get(slot_of(tag))
        if owner is None:
            self._is_stale = True
            raise Lost(f"no node of the cluster has slot {slot_of(tag)}")
        return owner

    # --- lines and topology ------------------------------------------------------------------------------------------
    async def _line(self, address: Address) -> Line:
        line = self._lines.get(address)
        if line is not None and line.is_open:
            return line
        return await self._shared(address, self._open(address))

    async def _open(self, address: Address) -> Line:
        in_cluster = self._in_cluster is not False
        line = await Line.open(self._target, address, seconds_max=self._seconds_max, in_cluster=in_cluster)
        self._lines[address] = line
        return line

    async def _shared(self, name: Address | None, work: Coroutine[Any, Any, T]) -> T:
        """Do a thing once for all who want it now; it goes on without them."""
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(work)
            task.add_done_callback(lambda done: self._forget(name, done))
        else:
            work.close()
        found: T = await asyncio.shield(task)
        return found

    def _forget(self, name: Address | None, done: "asyncio.Task[Any]") -> None:
        self._opening.pop(name, None)
        if not done.cancelled():
            done.exception()

    async def _known(self) -> None:
        """Know what kind of store it is and, of a cluster, who owns which slot."""
        if self._is_stale:
            await self._shared(None, self._learn())

    async def _learn(self) -> None:
        if self._in_cluster is None:
            self._in_cluster = await self._asked_whether_cluster()
            if self._in_cluster and self._target.database:
                raise Misconfigured("REDIS_URL names a database, and a Redis Cluster has only database 0")
        if self._in_cluster:
            self._owners = await self._asked_owners()
        self._is_stale = False

    async def _asked_whether_cluster(self) -> bool:
        seed = await Line.open(self._target, self._target.address, seconds_max=self._seconds_max, in_cluster=True)
        try:
            (info,) = await seed.ask([_INFO])
        finally:
            seed.close()
            await asyncio.sleep(0)
        if isinstance(info, ReplyError):
            raise info
        return isinstance(info, bytes) and b"cluster_enabled:1" in info

    async def _asked_owners(self) -> dict[int, Address]:
        """Return who owns which slot, as the first node that answers says."""
        lost: Lost | None = None
        for address in dict.fromkeys([*self._owners.values(), self._target.address]):
            try:
                (reply,) = await (await self._line(address)).ask([_SLOTS])
            except Lost as error:
                lost = error
                continue
            if isinstance(reply, list) and reply:
                return _owners(reply, address)
        raise lost or Lost("no node of the cluster says who owns which slot")


def _owners(reply: Sequence[Reply], asked: Address) -> dict[int, Address]:
    """Read CLUSTER SLOTS: ranges of slots, each with its nodes, the primary first."""
    owners = {}
    for entry in reply:
        assert isinstance(entry, list)
        first, last, node = entry[:3]
        assert isinstance(first, int)
        assert isinstance(last, int)
        assert isinstance(node, list)
        host, port = node[:2]
        assert isinstance(port, int)
        address = Address(host.decode() if isinstance(host, bytes) and host else asked.host, port)
        owners.update(dict.fromkeys(range(first, last + 1), address))
    return owners


def _asked(call: Call, *, asks: bool) -> tuple[bytes, ...]:
    return (_ASKING, call.bytes) if asks else (call.bytes,)


def _code(reply: Reply) -> str:
    return reply.code if isinstance(reply, ReplyError) else ""


async def _together(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Await all; raise the first error once none is under way any more."""
    if len(works) == 1:
        await works[0]
        return
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
