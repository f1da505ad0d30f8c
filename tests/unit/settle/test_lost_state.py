"""A store that is lost is rebuilt from the log only as far as the log still holds what it was made of (R14)."""

import pytest

from millrace_common.bus.lane import Extent, open_lane
from millrace_common.errors import DataGap
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome, Subscription

AT = TopicPartition("raw-data", 0)
MINUTE_US = 60_000_000


class Lost:
    """A store that holds nothing."""

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        return None

    async def check(self, at: TopicPartition) -> None:
        return

    def drop(self, at: TopicPartition) -> None:
        return


async def handler(batch: Batch) -> Outcome:
    """Stand for a handler."""
    return Outcome()


async def one_a_minute(at: TopicPartition, reach_us: int | None) -> int | None:
    """Answer for a log whose records 40 to 99 were appended a minute apart."""
    found = None if reach_us is None else 40 + -(-reach_us // MINUTE_US)
    return found if found is not None and found < 100 else None


@pytest.mark.parametrize(
    ("committed", "reach_us", "starts"),
    [
        (None, None, True),
        (50, 10 * MINUTE_US, True),
        (49, 10 * MINUTE_US, False),
        (100, 60 * MINUTE_US, False),
        (100, None, False),
        (40, 0, True),
        (39, 0, False),
    ],
)
async def test_a_rebuild_that_would_be_inexact_is_refused(
    committed: int | None, reach_us: int | None, starts: bool
) -> None:
    """R14: from the committed offset on, rows are published: all that they depend on must lie on the log."""
    subscription = Subscription(AT.topic, handler, Lost(), reach_us)
    if starts:
        lane = await open_lane(
            "features", subscription, AT, committed=committed, log=Extent(40, 100), whole_from=one_a_minute
        )
        assert (lane.position, lane.quiet_below) == (40, committed or 0)
        return
    with pytest.raises(DataGap, match=r"raw-data\[0\] is lost.*restore the store"):
        await open_lane("features", subscription, AT, committed=committed, log=Extent(40, 100), whole_from=one_a_minute)


async def test_a_log_that_was_never_cut_is_enough() -> None:
    """R8: as long as the log starts at its first record, a lost store is rebuilt whatever it reaches back to."""
    subscription = Subscription(AT.topic, handler, Lost(), None)
    lane = await open_lane("features", subscription, AT, committed=70, log=Extent(0, 100), whole_from=one_a_minute)
    assert (lane.position, lane.quiet_below) == (0, 70)
