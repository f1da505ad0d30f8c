"""The rows in a Delta Lake table: the features topic as it was read, each offset once.

Every commit carries the end offset of its partition as an application transaction, which is also the cursor: rows and
cursor are one write. Columns repeat what pruning and counting need; `value` holds the whole message as JSON.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pyarrow import dataset as ds

from millrace_common.codec import encode_value
from millrace_common.errors import Fenced, Unavailable
from millrace_common.messages import FeatureRow, Label
from millrace_common.records import TopicPartition
from millrace_trainer.core.assembly import Entry
from millrace_trainer.core.narrow import Narrow, narrow
from millrace_trainer.core.task import Ends, Run, Work

SECONDS_MAX = 60.0
COMMITS_PER_COMPACTION = 64
HOURS_KEPT = 168

SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("time_us", pa.int64(), nullable=False),
        pa.field("counts", pa.bool_(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
    ]
)
NARROW = ["kind", "event_type", "event_id", "name", "time_us", "partition", "offset", "counts"]
DECODER = msgspec.json.Decoder(FeatureRow | Label)

T = TypeVar("T")


@dataclass(slots=True)
class DeltaRows:
    """The table, written by one process. Another writer shows as Fenced at the next commit or idle poll."""

    url: str
    artifacts_url: str
    topic: str
    _table: DeltaTable
    commits_per_compaction: int = COMMITS_PER_COMPACTION
    _ends: dict[int, int] = field(default_factory=dict)
    _commits: int = 0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def open(cls, url: str, *, artifacts_url: str, topic: str) -> "DeltaRows":
        """Open the table at a path or URL, creating it where there is none; raises Unavailable."""
        return cls(url, artifacts_url, topic, await _answered(lambda: _opened(url)))

    async def append(self, at: TopicPartition, end: int, entries: Sequence[Entry]) -> None:
        """Write the entries of a batch and the partition's end in one commit; raises Fenced or Unavailable."""
        async with self._one_at_a_time:
            have = self._ends.get(at.partition, 0)
            if end <= have:
                return
            table = to_table([entry for entry in entries if entry[1] >= have])
            await _answered(lambda: self._commit(at, end, table))
            self._ends[at.partition] = end
            self._commits += 1
            if self._commits % self.commits_per_compaction == 0:
                await _answered(self._compact)

    def ends(self) -> Ends:
        """Return the end offset of each partition that was taken over."""
        return {str(partition): end for partition, end in sorted(self._ends.items())}

    async def scan(self) -> AsyncIterator[Narrow]:
        """Yield what counting needs of every entry."""
        batches = self._table.to_pyarrow_dataset().to_batches(columns=NARROW)
        while (batch := await _answered(lambda: next(batches, None))) is not None:
            for values in zip(*(batch.column(name).to_pylist() for name in NARROW), strict=True):
                yield Narrow(*values)

    def work(self, run: Run) -> Work:
        """Return the payload of a run: the task, and where its rows lie."""
        return Work(task=run.task, artifacts_url=self.artifacts_url, rows_url=self.url, takes_us=run.takes_us)

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Take a partition over and return the offset that follows the last commit; None before the first."""
        async with self._one_at_a_time:
            end = await _answered(lambda: self._stored_end(at))
        if end is None:
            self._ends.pop(at.partition, None)
        else:
            self._ends[at.partition] = end
        return end

    async def check(self, at: TopicPartition) -> None:
        """Raise Fenced where the table's cursor is not the one that this process left."""
        async with self._one_at_a_time:
            self._hold_against(at, await _answered(lambda: self._stored_end(at)))

    def drop(self, at: TopicPartition) -> None:
        """Forget where a partition stood."""
        self._ends.pop(at.partition, None)

    def _commit(self, at: TopicPartition, end: int, table: pa.Table) -> None:
        self._hold_against(at, self._stored_end(at))
        mark = CommitProperties(app_transactions=[Transaction(self._app_id(at), end)])
        try:
            write_deltalake(self._table, table, mode="append", commit_properties=mark)
        except CommitFailedError as error:
            raise Fenced(f"another writer committed to {self.url}: {error}") from error

    def _hold_against(self, at: TopicPartition, stored: int | None) -> None:
        ours = self._ends.get(at.partition)
        if stored != ours:
            raise Fenced(f"{self.url} stands at {stored} for {self._app_id(at)}, not at {ours}")

    def _stored_end(self, at: TopicPartition) -> int | None:
        self._table.update_incremental()
        return self._table.transaction_version(self._app_id(at))

    def _compact(self) -> None:
        self._table.optimize.compact()
        self._table.vacuum(retention_hours=HOURS_KEPT, dry_run=False)

    def _app_id(self, at: TopicPartition) -> str:
        return f"{self.topic}.{at.partition}"


def to_table(entries: Sequence[Entry]) -> pa.Table:
    """Return entries as a table."""
    facts = [narrow(entry) for entry in entries]
    columns: dict[str, list[object]] = {name: [getattr(fact, name) for fact in facts] for name in NARROW}
    columns["value"] = [encode_value(message).decode() for _, _, message in entries]
    return pa.table(columns, schema=SCHEMA)


def read_entries(url: str, *, event_type: str) -> Iterator[Entry]:
    """Yield the entries of one event type, partition by partition in log order; blocking. Raises Unavailable.

    The table gives its newest file first, and compaction moves rows between files.
    """
    try:
        rows = DeltaTable(url).to_pyarrow_dataset()
        wanted = ["partition", "offset", "value"]
        found = rows.to_table(columns=wanted, filter=ds.field("event_type") == event_type)
        for batch in found.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_batches():
            for partition, offset, value in zip(*(batch.column(c).to_pylist() for c in wanted), strict=True):
                yield partition, offset, DECODER.decode(value)
    except (DeltaError, OSError) as error:
        raise Unavailable(f"rows at {url}: {error}") from error


def _opened(url: str) -> DeltaTable:
    try:
        return DeltaTable(url)
    except TableNotFoundError:
        return DeltaTable.create(url, SCHEMA, mode="ignore", name="millrace_rows")


async def _answered(work: Callable[[], T]) -> T:
    """Return what Delta Lake answers; it works in threads of its own, so the loop goes on meanwhile."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await asyncio.to_thread(work)
    except TimeoutError as error:
        raise Unavailable(f"the rows gave no answer in {SECONDS_MAX:g} s") from error
    except (DeltaError, OSError) as error:
        raise Unavailable(f"the rows: {error}") from error
