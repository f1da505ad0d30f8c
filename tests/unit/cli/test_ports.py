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
    with ports.next_claimed(taken, taken=frozenset()) as chosen:
        assert chosen > taken
        assert ports.is_free(chosen)
    with ports.next_claimed(chosen, taken=frozenset()) as again:
        assert again == chosen


def test_no_port_is_given_twice(taken: int) -> None:
    """Neighbours keep their wanted ports; one that must move passes over them."""
    wanted = {"kafka": taken, "redis": taken + 1, "ingest": taken + 2}
    with ports.claimed(wanted) as chosen:
        assert len(set(chosen.values())) == len(wanted)
        assert chosen["kafka"] > taken + 2


def test_the_same_wish_twice_gives_two_ports() -> None:
    """Two names may want one port; the first gets it."""
    with ports.claimed({"a": 26_000, "b": 26_000}) as chosen:
        assert chosen["a"] < chosen["b"]


def test_another_platform_does_not_choose_what_is_claimed_but_not_listened_on_yet() -> None:
    """Two that start in the same second get different ports; when one ends, its ports are free again."""
    with ports.claimed({"ingest": 26_100}) as one, ports.claimed({"ingest": 26_100}) as two:
        assert one["ingest"] < two["ingest"]
    with ports.claimed({"ingest": 26_100}) as three:
        assert three == one


def test_the_end_of_the_range_is_an_error() -> None:
    """There is no port above 65,535."""
    with (
        pytest.raises(OSError, match="no free port"),
        ports.next_claimed(65_535, taken=frozenset({65_535})),
    ):
        pass
