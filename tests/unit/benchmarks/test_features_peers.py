"""The peers' job in plain Python: the same windows as ours, the same ids counted once."""

from benchmarks.features.drivers.cards import IDS_MAX, Card, Payment, Window
from benchmarks.features.drivers.sink import request
from hypothesis import given
from hypothesis import strategies as st

PAST = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 1_000)), max_size=60)


@given(PAST, st.integers(1, 200))
def test_a_window_holds_what_lies_before_the_time_and_within_its_width(past: list[tuple[int, int]], width: int) -> None:
    """Count, mean and maximum are those of the payments in [t - width, t), looked up one by one."""
    window, kept, now = Window(width), list[tuple[int, int]](), 0
    for gap, amount in past:
        now += gap
        inside = [value for ts, value in kept if ts >= now - width]
        count, mean, most = window.at(now)
        window.add(now, amount)
        kept.append((now, amount))

        assert (count, most) == (len(inside), max(inside, default=0))
        assert mean == (sum(inside) / len(inside) if inside else 0)


def test_a_card_knows_its_newest_ids() -> None:
    """An id counts once, until as many others came after it as are kept."""
    card = Card()

    assert not card.is_repeated("a")
    assert card.is_repeated("a")
    assert not any(card.is_repeated(str(i)) for i in range(IDS_MAX))
    assert not card.is_repeated("a")


def test_a_payment_does_not_know_itself() -> None:
    """The features at a payment are of those before it."""
    card = Card()
    first = card.step(Payment("a", "c", 10.0, 1_000))
    second = card.step(Payment("b", "c", 30.0, 2_000))

    assert first == [0, 0, 0] * 3
    assert second == [1, 10, 10] * 3


def test_a_request_is_one_buffer_of_commands() -> None:
    """Keys are counted in bytes, values go as they are."""
    assert request({"é": b"\r\n", "b": b""}) == (
        b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$2\r\n\r\n\r\n" + b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$0\r\n\r\n"
    )
