"""Which ports to use: the usual one, or the next that is free."""

import socket
from collections.abc import Mapping

LOCALHOST = "127.0.0.1"
SERVICES = {"ingest": 7101, "features": 7102, "trainer": 7103, "gatekeeper": 7104, "serving": 7105, "monitor": 7106}
EMBEDDED = {"kafka": 17192, "kafka-controller": 17193, "redis": 17179}
TRIES_MAX = 1_000


def is_free(port: int) -> bool:
    """Say whether a server could listen on the port of this machine's loopback."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Say whether something accepts connections on the port."""
    try:
        socket.create_connection((LOCALHOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def choose(wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a free port per name, each the wanted one or the next above it that is free and not chosen yet."""
    chosen: dict[str, int] = {}
    for name, first in wanted.items():
        chosen[name] = next_free(first, taken=frozenset(chosen.values()) | (frozenset(wanted.values()) - {first}))
    return chosen


def next_free(first: int, *, taken: frozenset[int]) -> int:
    """Return the first port from `first` on that is free and not in `taken`; OSError when none is in reach."""
    for port in range(first, min(first + TRIES_MAX, 65_536)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port from {first} to {first + TRIES_MAX}")
