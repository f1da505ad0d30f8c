"""The time, passed in: the wall clock in production, a virtual one in a backtest."""

import time
from dataclasses import dataclass
from typing import ClassVar, Protocol


class Clock(Protocol):
    """What tells the time."""

    @property
    def is_virtual(self) -> bool:
        """Say whether time only moves when the simulation moves it."""
        ...

    def now_us(self) -> int:
        """Return microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    is_virtual = False

    def now_us(self) -> int:
        """Return microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000


@dataclass(slots=True)
class VirtualClock:
    """A clock that stands still until it is moved."""

    at_us: int = 0
    is_virtual: ClassVar[bool] = True

    def now_us(self) -> int:
        """Return microseconds since the epoch, UTC."""
        return self.at_us

    def advance_to(self, at_us: int) -> None:
        """Move forward to `at_us`; a time in the past leaves the clock where it is."""
        self.at_us = max(self.at_us, at_us)
