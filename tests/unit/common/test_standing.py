"""What the watchdog takes for lag, beside what its own tests show."""

import asyncio
from collections.abc import Callable

import pytest

from millrace_common.bus.lane import Lane
from millrace_common.bus.standing import Followed, Standing
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome, Subscription
from millrace_common.watchdog import Watchdog

AT = TopicPartition("in", 0)


async def unused(batch: Batch) -> Outcome:
    """Stand for a handler."""
    return Outcome()


def behind_a_transaction(standing: Standing) -> None:
    """Leave the mark of a producer's transaction at the end of a log that is worked off."""
    standing.lanes[AT] = Lane("s", Subscription("in", unused), AT, 8, 0, 9, passed=9)


def at_work(standing: Standing) -> None:
    """Let the followers of a log be at work on what was read."""
    standing.followed[AT] = Followed(AT, 3, 3, 9, is_handed_over=True)


def stuck(standing: Standing) -> None:
    """Let a followed log stand still though it goes on."""
    standing.followed[AT] = Followed(AT, 3, 3, 9)


@pytest.mark.parametrize(("leave", "ends"), [(behind_a_transaction, []), (at_work, []), (stuck, ["ended"])])
async def test_a_process_ends_where_records_wait_and_nobody_reads_them(
    leave: Callable[[Standing], None], ends: list[str]
) -> None:
    """R10: the marks of transactions are no lag; a followed log that stands still is, unless its followers work."""
    standing, ended = Standing(), list[str]()
    leave(standing)
    watchdog = Watchdog(lambda: standing, 0.2, end=lambda: ended.append("ended"), look_seconds=0.02)
    task = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])
    assert ended == ends


def test_a_lost_state_is_rebuilt_up_to_what_was_committed() -> None:
    """R8: below the committed offset a partition is folded again; ticks wait for that."""
    standing = Standing()
    lane = standing.lanes[AT] = Lane("s", Subscription("in", unused), AT, 0, 5, 9)
    assert standing.is_rebuilding
    lane.position = 5
    assert not standing.is_rebuilding
