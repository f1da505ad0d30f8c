"""When a replayed event is due, and by how much its time is shifted. Times in microseconds, rates per second."""

from collections.abc import Iterable
from dataclasses import dataclass

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Event seconds per second (`speed`), or events per second (`rate`); with neither, at once."""

    speed: float | None = None
    rate: float | None = None

    def due_us(self, index: int, at_us: int, *, first_us: int) -> int:
        """Return how long after the start the event number `index` is due that happened at `at_us`.

        >>> [pace.due_us(5, 120_000_000, first_us=0) for pace in (Pace(speed=60.0), Pace(rate=10.0), Pace())]
        [2000000, 500000, 0]
        """
        if self.rate is not None:
            return round(index * SECOND_US / self.rate)
        return 0 if self.speed is None else round((at_us - first_us) / self.speed)


def shift_us(pace: Pace, times_us: Iterable[int], *, now_us: int) -> int:
    """Return what to add to every event time: the most by which no event claims a time after it is sent.

    Whole milliseconds, so that times that are sent as milliseconds stay whole. No event: 0.

    >>> shift_us(Pace(speed=1.0), [0, 60_000_000], now_us=100_000_000)
    100000000
    >>> shift_us(Pace(), [0, 60_000_000], now_us=100_000_000)
    40000000
    """
    numbered = enumerate(times_us)
    _, first_us = next(numbered, (0, None))
    if first_us is None:
        return 0
    later = (pace.due_us(index, at_us, first_us=first_us) - at_us for index, at_us in numbered)
    return (now_us + min(-first_us, min(later, default=-first_us))) // 1_000 * 1_000
