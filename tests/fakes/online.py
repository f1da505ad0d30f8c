"""An online store as several processes and somebody with a backup see it: in memory, and in a real Redis."""

import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from redis.asyncio import Redis

from millrace_common.online import OnlineWriter
from millrace_common.online.line import Target
from millrace_common.online.nodes import Nodes
from millrace_common.online_memory import MemoryOnline
from millrace_common.slots import Slot

SLOT = Slot("raw-data", "card", 3, "0badcafe")


def value(offset: int, *, set_: str = SLOT.set, text: bytes = b"") -> bytes:
    """Return bytes with the two places that a guarded write compares."""
    return struct.pack("<BBH4sq", 0xF5, 1, 0, bytes.fromhex(set_), offset) + text


class Port(Protocol):
    """One store, as several processes and somebody with a backup see it."""

    def writer(self) -> OnlineWriter | MemoryOnline:
        """Return the writer of another process."""
        ...

    async def snapshot(self) -> dict[str, bytes]:
        """Return all that is held."""
        ...

    async def restore(self, held: dict[str, bytes]) -> None:
        """Go back to what was held."""
        ...


class InMemory:
    """The twin."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.processes = 0

    def writer(self) -> MemoryOnline:
        """Return the writer of another process."""
        self.processes += 1
        return MemoryOnline(self.held, f"process {self.processes}")

    async def snapshot(self) -> dict[str, bytes]:
        """Return all that is held."""
        return dict(self.held)

    async def restore(self, held: dict[str, bytes]) -> None:
        """Go back to what was held."""
        self.held.clear()
        self.held.update(held)


class InRedis:
    """The real thing, in a database of its own."""

    def __init__(self, client: Any, nodes: Nodes) -> None:
        self.client = client
        self.nodes = nodes

    def writer(self) -> OnlineWriter:
        """Return the writer of another process."""
        return OnlineWriter(self.nodes)

    async def snapshot(self) -> dict[str, bytes]:
        """Return all that is held."""
        return {key.decode(): await self.client.get(key) for key in await self.client.keys("*")}

    async def restore(self, held: dict[str, bytes]) -> None:
        """Go back to what was held."""
        await self.client.flushdb()
        for key, data in held.items():
            await self.client.set(key, data)


Store = AbstractAsyncContextManager[Port]
"""One that is empty when it is entered."""


@asynccontextmanager
async def opened(kind: str, url: str) -> AsyncIterator[Port]:
    """Open an empty store."""
    if kind == "memory":
        yield InMemory()
        return
    async with Redis.from_url(own_database(url)) as client:
        await client.flushdb()
        nodes = Nodes(Target.of(own_database(url)), seconds_max=5.0)
        try:
            yield InRedis(client, nodes)
        finally:
            await nodes.close()
            await client.flushdb()


def own_database(url: str) -> str:
    """Return the URL with this part's database number."""
    scheme, rest = url.split("://")
    return f"{scheme}://{rest.split('/')[0]}/4"
