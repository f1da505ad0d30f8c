"""The rows in memory, for the backtest and tests."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from millrace_common.records import TopicPartition
from millrace_engine.views import compile_view
from millrace_trainer.core.assembly import Entry, Window, assemble
from millrace_trainer.core.dataset import pack
from millrace_trainer.core.definition import view_of
from millrace_trainer.core.narrow import Narrow, narrow
from millrace_trainer.core.task import Ends, Run, Work


@dataclass(slots=True)
class MemoryRows:
    """Rows and labels as lists. A run takes its training set along in its payload."""

    artifacts_url: str
    _entries: dict[int, list[Entry]] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)

    async def append(self, at: TopicPartition, end: int, entries: Sequence[Entry]) -> None:
        """Take the entries of a batch and move the partition's end."""
        have = self._ends.get(at.partition, 0)
        self._entries.setdefault(at.partition, []).extend(entry for entry in entries if entry[1] >= have)
        self._ends[at.partition] = max(have, end)

    def ends(self) -> Ends:
        """Return the end offset of each partition."""
        return {str(partition): end for partition, end in sorted(self._ends.items())}

    async def scan(self) -> AsyncIterator[Narrow]:
        """Yield what counting needs of every entry."""
        for partition in sorted(self._entries):
            for entry in self._entries[partition]:
                yield narrow(entry)

    def work(self, run: Run) -> Work:
        """Return the payload of a run, rows and all."""
        task = run.task
        dataset = assemble(
            self._of_type(task.lesson.event_type),
            task.lesson,
            compile_view(view_of(task.lesson.view)),
            cut=task.cut,
            window=Window(task.lesson.rows_max, task.train_from, task.rows_min),
        )
        return Work(task=task, artifacts_url=self.artifacts_url, dataset=pack(dataset), takes_us=run.takes_us)

    def _of_type(self, event_type: str) -> Sequence[Entry]:
        return [
            (partition, offset, message)
            for partition in sorted(self._entries)
            for partition, offset, message in self._entries[partition]
            if message.event_type == event_type
        ]

    async def start(self, at: TopicPartition) -> int | None:
        """Return the offset to read next of a partition."""
        return self._ends.get(at.partition)

    async def check(self, at: TopicPartition) -> None:
        """Agree: nobody else writes to this memory."""

    def drop(self, at: TopicPartition) -> None:
        """Keep everything: this memory is the store, not a cache."""
