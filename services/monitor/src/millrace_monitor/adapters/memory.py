"""Memory that ends with the process: a backtest's, which starts every log at its beginning."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from millrace_common.records import TopicPartition
from millrace_monitor.core.saved import Changes, Saved


@dataclass(slots=True)
class MemoryState:
    """Cursors only: what was gathered already is where it is needed."""

    saved: Saved = field(default_factory=Saved)
    cursors: dict[TopicPartition, int] = field(default_factory=dict)
    is_durable: bool = False

    async def cursor(self, at: TopicPartition) -> int | None:
        """Return the offset to read next."""
        return self.cursors.get(at)

    async def save(self, changes: Sequence[Changes]) -> None:
        """Move the cursors."""
        for one in changes:
            if one.at is not None:
                self.cursors[one.at] = one.end
