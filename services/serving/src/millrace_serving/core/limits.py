"""How much is done together, and how long anything is waited for."""

from dataclasses import dataclass

ROWS_TOGETHER_MAX = 128
ASKED_TOGETHER_MAX = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the online store is waited for: a caller does not wait, the stream does."""

    online_seconds_max: float = 0.05
    stream_seconds_max: float = 30.0
    retry_seconds: float = 1.0

    @property
    def stream_tries(self) -> int:
        """Return how often the stream asks again before the process ends."""
        return max(1, int(self.stream_seconds_max / self.retry_seconds))
