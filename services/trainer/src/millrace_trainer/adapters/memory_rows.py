"""The rows in memory, for the backtest and tests."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from millrace_common.records import TopicPartition
from millrace_engine.views import compile_view
from millrace_trainer.core.assembly import Entry, Gathered, Window, dataset_of, gather
from millrace_trainer.core.dataset import pack
from millrace_trainer.core.definition import view_of
from millrace_trainer.core.narrow import Narrow, narrow
from millrace_trainer.core.task import Ends, Lesson, Run, Work


@dataclass(slots=True)
class MemoryRows:
    """Rows and labels as lists. A run takes its training set along in its payload."""

    artifacts_url: str
    _entries: dict[int, list[Entry]] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)
    _known: dict[tuple[str, str], tuple[Gathered, dict[int, int]]] = field(default_factory=dict)
    """What was gathered by event type and label, and how many entries of each partition that took."""

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
        dataset = dataset_of(
            self._gathered(task.lesson, task.cut),
            task.lesson,
            compile_view(view_of(task.lesson.view)),
            cut=task.cut,
            window=Window(task.lesson.rows_max, task.train_from, task.rows_min),
        )
        return Work(task=task, artifacts_url=self.artifacts_url, dataset=pack(dataset), takes_us=run.takes_us)

    def _gathered(self, lesson: Lesson, cut: Ends) -> Gathered:
        """Return what is known at a cut: of all that is here, what earlier runs gathered is kept for the next."""
        if cut != self.ends():
            every = (entry for partition in sorted(self._entries) for entry in self._entries[partition])
            return gather(every, lesson, cut=cut)
        key = (lesson.event_type, lesson.label)
        found, taken = self._known.setdefault(key, (Gathered(*key), {}))
        for partition in sorted(self._entries):
            entries = self._entries[partition]
            for entry in islice(entries, taken.get(partition, 0), None):
                found.take(entry)
            taken[partition] = len(entries)
        return found

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Return the offset to read next of a partition."""
        return self._ends.get(at.partition)

    async def check(self, at: TopicPartition) -> None:
        """Agree: nobody else writes to this memory."""

    def drop(self, at: TopicPartition) -> None:
        """Keep everything: this memory is the store, not a cache."""
