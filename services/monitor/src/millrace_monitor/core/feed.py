"""The monitor's own alerts as they lie on their topic: what pages and streams read."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

ALERTS_MAX = 10_000


@dataclass(slots=True)
class Feed:
    """The newest alerts with their offsets, each one line of JSON."""

    alerts: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=ALERTS_MAX))

    @property
    def end(self) -> int:
        """Return the offset after the newest alert."""
        return self.alerts[-1][0] + 1 if self.alerts else 0

    def add(self, offset: int, value: bytes) -> None:
        """Take one alert; one that was read before is skipped.

        >>> feed = Feed()
        >>> feed.add(0, b"{}"), feed.add(0, b"{}"), feed.end
        (None, None, 1)
        """
        if offset >= self.end:
            self.alerts.append((offset, value))

    def after(self, offset: int, at_most: int = ALERTS_MAX) -> list[tuple[int, bytes]]:
        """Return the oldest alerts behind an offset.

        >>> Feed(deque([(3, b"a"), (5, b"b")])).after(3)
        [(5, b'b')]
        """
        return list(islice((one for one in self.alerts if one[0] > offset), at_most))
