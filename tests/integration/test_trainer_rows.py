"""The table of rows: each offset once, whatever dies in between, and nobody else's commits unnoticed."""

import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable
from tests.fakes.trainer import Log, deployment, history, host

from millrace.spec import TrainingSpec
from millrace_common.errors import Fenced, Unavailable
from millrace_common.job import run_inline
from millrace_common.records import TopicPartition
from millrace_trainer.adapters.delta_rows import DeltaRows, read_entries
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.sqlite_runs import SqliteRuns
from millrace_trainer.core.assembly import Entry
from millrace_trainer.handlers import Rows, Trainer
from millrace_trainer.service import trainer_of

AT = TopicPartition("features", 0)


async def opened(folder: Path) -> DeltaRows:
    """Open the table in a folder and take partition 0 over."""
    rows = await DeltaRows.open(str(folder / "rows"), artifacts_url=folder.as_uri(), topic="features")
    await rows.start(AT, None)
    return rows


def entries(first: int, end: int) -> list[Entry]:
    """Return the entries of partition 0 from one offset to another."""
    return [(0, offset, message) for offset, message in enumerate(history(end // 2 + 1)) if first <= offset < end]


def offsets(folder: Path) -> list[int]:
    """Return every offset in the table, sorted, repeats and all."""
    return sorted(offset for _, offset, _ in read_entries(str(folder / "rows"), event_type="sale"))


async def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    """Messages, partitions and offsets survive the table; the cursor is the end of the last batch."""
    rows = await opened(tmp_path)
    assert await rows.start(AT, None) is None
    await rows.append(AT, 20, entries(0, 20))
    assert sorted(read_entries(str(tmp_path / "rows"), event_type="sale"), key=lambda e: e[1]) == entries(0, 20)
    assert list(read_entries(str(tmp_path / "rows"), event_type="other")) == []
    assert rows.ends() == {"0": 20}
    assert await (await opened(tmp_path)).start(AT, None) == 20


@pytest.mark.parametrize("commits_per_compaction", [2, 100])
async def test_rows_come_back_in_log_order(tmp_path: Path, commits_per_compaction: int) -> None:
    """R13: what is learnt depends on the log, not on the files in which its rows happen to lie."""
    rows = await opened(tmp_path)
    rows.commits_per_compaction = commits_per_compaction
    for first in range(0, 50, 10):
        await rows.append(AT, first + 10, entries(first, first + 10))
    assert [offset for _, offset, _ in read_entries(str(tmp_path / "rows"), event_type="sale")] == list(range(50))


async def test_a_crash_before_the_commit_writes_nothing_twice(tmp_path: Path) -> None:
    """Applied but not committed: the log is read again, from the cursor or from further back, and no row doubles."""
    await (await opened(tmp_path)).append(AT, 20, entries(0, 20))
    after = await opened(tmp_path)
    await after.append(AT, 20, entries(0, 20))
    await after.append(AT, 30, entries(10, 30))
    assert offsets(tmp_path) == list(range(30))


async def test_a_batch_without_rows_moves_the_cursor(tmp_path: Path) -> None:
    """Dead letters alone are progress too."""
    rows = await opened(tmp_path)
    await rows.append(AT, 5, [])
    assert await (await opened(tmp_path)).start(AT, None) == 5


async def test_partitions_have_cursors_of_their_own(tmp_path: Path) -> None:
    """A commit for one partition says nothing about another."""
    rows = await opened(tmp_path)
    other = TopicPartition("features", 1)
    await rows.start(other, None)
    await rows.append(other, 7, [])
    assert await rows.start(AT, None) is None
    assert rows.ends() == {"1": 7}
    rows.drop(other)
    assert rows.ends() == {}


async def test_another_writer_is_noticed(tmp_path: Path) -> None:
    """A zombie is fenced at its next commit and at its next idle poll, and adds nothing."""
    zombie, owner = await opened(tmp_path), await opened(tmp_path)
    await owner.append(AT, 10, entries(0, 10))
    with pytest.raises(Fenced, match=r"features\.0"):
        await zombie.check(AT)
    with pytest.raises(Fenced, match=r"features\.0"):
        await zombie.append(AT, 10, entries(0, 10))
    await owner.check(AT)
    assert offsets(tmp_path) == list(range(10))


async def test_a_table_that_went_back_is_noticed(tmp_path: Path) -> None:
    """A restored older copy is not written on as though nothing had happened."""
    rows = await opened(tmp_path)
    await rows.append(AT, 10, entries(0, 10))
    shutil.copytree(tmp_path / "rows", tmp_path / "copy")
    await rows.append(AT, 20, entries(10, 20))
    shutil.rmtree(tmp_path / "rows")
    shutil.move(tmp_path / "copy", tmp_path / "rows")
    with pytest.raises((Fenced, Unavailable)):
        await rows.append(AT, 30, entries(20, 30))
    assert await (await opened(tmp_path)).start(AT, None) == 10


async def test_small_files_are_compacted(tmp_path: Path) -> None:
    """After some commits the files are merged; rows, cursor and fencing stay as they were."""
    rows = await opened(tmp_path)
    rows.commits_per_compaction = 8
    for first in range(0, 40, 5):
        await rows.append(AT, first + 5, entries(first, first + 5))
    assert len(DeltaTable(str(tmp_path / "rows")).file_uris()) == 1
    await rows.append(AT, 45, entries(40, 45))
    assert offsets(tmp_path) == list(range(45))


async def trained(rows: Rows, at: Path) -> tuple[Trainer, bytes]:
    """Let a trainer read 300 sales in batches, and do the bootstrap that they start."""
    of = deployment(training=TrainingSpec(bootstrap_rows=300))
    trainer = trainer_of(host(of), rows=rows, runs=SqliteRuns.open(at / "state.sqlite"))
    log, messages = Log("features"), history(300)
    for first in range(0, 600, 100):
        outcome = await trainer.on_features(log.batch(messages[first : first + 100]))
        await outcome.apply()
    job = await trainer.next()
    assert job is not None
    return trainer, run_inline(job)


async def test_the_table_and_memory_teach_the_same(tmp_path: Path) -> None:
    """The same log gives the same artifact, whether its rows lie in Delta Lake or in memory."""
    (tmp_path / "m").mkdir()
    _, from_table = await trained(await opened(tmp_path), tmp_path)
    _, from_memory = await trained(MemoryRows(tmp_path.as_uri()), tmp_path / "m")
    assert from_table == from_memory


async def test_a_restart_does_the_recorded_run_to_the_same_bytes(tmp_path: Path) -> None:
    """A run that was recorded and killed is done again on the same rows, though the table has grown since."""
    rows = await opened(tmp_path)
    trainer, before = await trained(rows, tmp_path)
    outcome = await trainer.on_features(Log("features", end=600).batch(history(50, first=300)))
    await outcome.apply()
    again = trainer_of(host(deployment()), rows=await opened(tmp_path), runs=SqliteRuns.open(tmp_path / "state.sqlite"))
    await again.recall()
    assert again.tallies["fraud"].labelled == 350
    job = await again.next()
    assert job is not None
    assert run_inline(job) == before
