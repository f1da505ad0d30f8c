"""What was fetched and waits, against a plain list of it."""

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.fetched import Fetched
from millrace_common.columns import Records
from millrace_common.records import Record, TopicPartition

AT = TopicPartition("raw-data", 0)
HERE, THERE = TP("raw-data", 0), TP("raw-data", 1)


def records(first: int, count: int) -> Records:
    """Return records of which each names its offset."""
    offsets = range(first, first + count)
    return Records.of(AT, [Record("raw-data", 0, n, b"k%d" % n, b"v%d" % n, (), 1_000 * n) for n in offsets])


@given(st.integers(1, 5), st.lists(st.integers(0, 12), max_size=20))
def test_all_that_was_put_is_taken_once_and_in_order(records_max: int, steps: list[int]) -> None:
    """A step above nought puts so many records, nought takes what there is up to the most of a batch."""
    fetched, put, taken = Fetched(records_max), 7, list[int]()
    fetched.seek({HERE: put})
    for step in [*steps, *[0] * sum(steps)]:
        if step:
            fetched.put(HERE, records(put, step))
            put += step
            continue
        chunk = fetched.take(HERE)
        if chunk is None:
            assert len(taken) == put - 7
            assert not fetched.waiting()
            continue
        assert chunk.start == 7 + len(taken)
        assert 0 < len(chunk.records) <= records_max
        assert list(chunk.records) == list(records(chunk.start, len(chunk.records)))
        taken += chunk.records.offsets.tolist()
        assert bool(fetched.waiting()) == (len(taken) < put - 7)
    assert taken == list(range(7, put))


def test_no_more_is_wanted_of_a_partition_of_which_a_batch_waits() -> None:
    """Until it was taken; and nothing of one that has no place to start from."""
    fetched = Fetched(3)
    assert fetched.wanted([HERE]) == set()
    fetched.seek({HERE: 0, THERE: 0})
    fetched.put(HERE, records(0, 2))
    assert fetched.wanted([HERE, THERE]) == {HERE, THERE}
    fetched.put(HERE, records(2, 2))
    assert fetched.wanted([HERE, THERE]) == {THERE}
    fetched.take(HERE)
    assert fetched.wanted([HERE]) == {HERE}


def test_a_seek_forgets_what_waits() -> None:
    """What is put after it begins where it went; offsets that the log does not have are no gap; others are dropped."""
    fetched = Fetched(9)
    fetched.seek({HERE: 0})
    fetched.put(HERE, records(0, 5))
    fetched.seek({HERE: 2})
    fetched.put(THERE, records(0, 1))
    assert fetched.waiting() == []
    assert fetched.take(HERE) is None
    fetched.put(HERE, records(4, 1))
    chunk = fetched.take(HERE)
    assert chunk is not None
    assert (chunk.start, chunk.records.offsets.tolist()) == (2, [4])
