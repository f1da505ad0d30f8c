"""Which ports to use: the usual one, or the next that is free and that no other platform has claimed."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

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


@contextmanager
def claimed(wanted: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Yield a free port per name, each the wanted one or the next above it that is free and not chosen yet.

    No other platform of this machine chooses them while the block lasts: between choosing a port and listening on it
    lie seconds, in which a second `up` would find it free.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as claims:
        for name, first in wanted.items():
            others = frozenset(wanted.values()) - {first}
            chosen[name] = claims.enter_context(next_claimed(first, taken=frozenset(chosen.values()) | others))
        yield chosen


@contextmanager
def next_claimed(first: int, *, taken: frozenset[int]) -> Iterator[int]:
    """Yield the first port from `first` on that is free, unclaimed and not in `taken`; OSError when there is none."""
    with _first_claim(first, taken) as claim:
        yield int(claim.getsockname().rpartition(b".")[2])


def _first_claim(first: int, taken: frozenset[int]) -> socket.socket:
    for port in range(first, min(first + TRIES_MAX, 65_536)):
        claim = _claim(port) if port not in taken and is_free(port) else None
        if claim is not None:
            return claim
    raise OSError(f"no free port from {first} to {first + TRIES_MAX}")


def _claim(port: int) -> socket.socket | None:
    """Return what holds the claim to a port; None where another process has it.

    An abstract Unix socket (Linux): it reaches as far as the ports do, and the kernel frees it with its process.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0millrace.port.{port}")
    except OSError:
        claim.close()
        return None
    return claim
