"""Which ports are taken when the usual ones are not free."""

import socket
from collections.abc import Iterator

import pytest

from millrace_cli import ports


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.socket() as listener:
        listener.bind((ports.LOCALHOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_gives_the_next_free_one(taken: int) -> None:
    """The next port above that is free is used; a free one is used as it is."""
    chosen = ports.next_free(taken, taken=frozenset())
    assert chosen > taken
    assert ports.is_free(chosen)
    assert ports.next_free(chosen, taken=frozenset()) == chosen


def test_no_port_is_given_twice(taken: int) -> None:
    """Neighbours keep their wanted ports; one that must move passes over them."""
    wanted = {"kafka": taken, "redis": taken + 1, "ingest": taken + 2}
    chosen = ports.choose(wanted)
    assert len(set(chosen.values())) == len(wanted)
    assert chosen["kafka"] > taken + 2
    assert {name: chosen[name] for name in ("redis", "ingest") if ports.is_free(wanted[name])}.items() <= wanted.items()


def test_the_same_wish_twice_gives_two_ports() -> None:
    """Two names may want one port; the first gets it."""
    first = ports.next_free(26_000, taken=frozenset())
    chosen = ports.choose({"a": first, "b": first})
    assert chosen["a"] == first
    assert chosen["b"] > first


def test_the_end_of_the_range_is_an_error() -> None:
    """There is no port above 65,535."""
    with pytest.raises(OSError, match="no free port"):
        ports.next_free(65_535, taken=frozenset({65_535}))
