"""The raw past of one entity in one group: event times and arguments, in log order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

NEVER_US = -(1 << 62)
ALWAYS_US = 1 << 62


@dataclass(slots=True)
class Ring:
    """Events in log order. `columns[j][i]` is what the group's j-th expression gave for event i; NaN is missing."""

    columns: list[list[float]]
    times: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, width: int) -> "Ring":
        """Return a ring of `width` columns that holds nothing."""
        return cls([[] for _ in range(width)])

    def append(self, time_us: int, arguments: Sequence[float]) -> None:
        """Add the newest event of the log."""
        self.times.append(time_us)
        for column, value in zip(self.columns, arguments, strict=True):
            column.append(value)

    def within(self, from_us: int, to_us: int) -> list[int]:
        """Return the places of the events with `from_us` <= time < `to_us`, in log order."""
        return [i for i, time in enumerate(self.times) if from_us <= time < to_us]

    def keep(self, places: Sequence[int]) -> None:
        """Forget all but these places, which are in log order."""
        if len(places) == len(self.times):
            return
        self.times = [self.times[i] for i in places]
        self.columns = [[column[i] for i in places] for column in self.columns]
