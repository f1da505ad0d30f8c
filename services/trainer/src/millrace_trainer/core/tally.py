"""How many labelled rows a model has, kept up record by record until it has a champion."""

import heapq
from dataclasses import dataclass, field

from millrace_trainer.core.task import Lesson

_NEVER = -(1 << 62)


@dataclass(slots=True)
class Tally:
    """Counts as the assembly does; telling it the same row or label again changes nothing.

    Without a default a row is labelled when its newest label is not null. With one, every row is labelled once it is
    mature, and no row before: early labels are not a fair sample of the truth.
    """

    lesson: Lesson
    newest_us: int = _NEVER
    _rows: set[str] = field(default_factory=set)
    _labels: dict[str, tuple[int, int, int, bool]] = field(default_factory=dict)
    _immature: list[int] = field(default_factory=list)
    _labelled: int = 0

    @property
    def watermark_us(self) -> int:
        """Return the newest event time less the lateness."""
        return self.newest_us - self.lesson.lateness_us

    @property
    def labelled(self) -> int:
        """Return the number of labelled rows."""
        if self.lesson.default is None:
            return self._labelled
        while self._immature and self._immature[0] <= self.watermark_us:
            heapq.heappop(self._immature)
        return len(self._rows) - len(self._immature)

    def row(self, event_id: str, time_us: int) -> None:
        """Take the spine row of an event of the model's type."""
        if event_id in self._rows:
            return
        self._rows.add(event_id)
        self.newest_us = max(self.newest_us, time_us)
        if self.lesson.default is not None:
            heapq.heappush(self._immature, time_us + self.lesson.matures_after_us)
        elif self._labels.get(event_id, (0, 0, 0, False))[3]:
            self._labelled += 1

    def label(self, event_id: str, at: tuple[int, int, int], *, given: bool) -> None:
        """Take a label of the model's name; `at` is (seen time, partition, offset), not `given` a withdrawal."""
        if self.lesson.default is not None:
            return
        before = self._labels.get(event_id)
        if before is not None and at <= before[:3]:
            return
        self._labels[event_id] = (*at, given)
        if event_id in self._rows:
            self._labelled += given - (before is not None and before[3])
