"""What the Kafka buses make of what a broker hands them."""

import struct
from collections.abc import Sequence
from itertools import cycle

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.fetching import Log, WholeBatches, records_of
from millrace_common.columns import Records
from millrace_common.records import TopicPartition

AT = TopicPartition("raw-data", 1)


def test_a_header_without_a_value_is_empty() -> None:
    """Kafka lets a header have no value; a service reads it as it reads an empty one."""
    raw = ConsumerRecord(
        "p.raw-data", 1, 7, 1_700, 1, b"k", b"v", None, 1, 1, (("ce_id", None), ("theirs", b"1"))
    )  # fmt: skip
    (record,) = records_of(AT, [raw])
    assert record.headers == (("ce_id", b""), ("theirs", b"1"))
    assert record.header("ce_id") == ""
    assert (record.topic, record.offset, record.append_time_us) == ("raw-data", 7, 1_700_000)


def test_records_without_headers_are_read_alike() -> None:
    """A batch in which no record has headers is taken at once, and gives what each would alone."""
    raws = [
        ConsumerRecord("p.raw-data", 1, offset, 1_700 + offset, 1, key, value, None, 1, 1, ())
        for offset, (key, value) in enumerate([(b"k", b"v"), (None, b"v"), (b"k", None), (None, None)])
    ]
    with_headers = ConsumerRecord("p.raw-data", 1, 9, 1_700, 1, b"k", b"v", None, 1, 1, (("theirs", b"1"),))
    together = records_of(AT, raws)
    assert list(together) == list(records_of(AT, [*raws, with_headers]))[:4]
    assert [(r.offset, r.key, r.value, r.headers, r.append_time_us) for r in together] == [
        (0, b"k", b"v", (), 1_700_000),
        (1, None, b"v", (), 1_701_000),
        (2, b"k", None, (), 1_702_000),
        (3, None, None, (), 1_703_000),
    ]


def log_of(sizes: Sequence[int], gaps: Sequence[int]) -> bytes:
    """Return batches of so many records, with keys, values and headers or without; `gaps`: offsets that lie between."""
    log, offset = b"", 0
    for size, gap in zip(sizes, gaps, strict=True):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        for i in range(size):
            key, value = (b"k" if i % 2 else None), (b"v" if i % 3 else None)
            builder.append(i, 1_700 + i, key, value, [("ce_id", b"1"), ("theirs", None)] if i % 5 else [])
        log += struct.pack(">q", offset) + bytes(builder.build())[8:]
        offset += size + gap
    return log


class Assigned:
    """A partition that is assigned and not paused, as a fetch result sees it."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _place: KafkaPartition) -> "Assigned":
        """Return where it stands."""
        return self

    def consumed_to(self, position: int) -> None:
        """Stand there now."""
        self.position = position


def fetched(log: bytes, first: int) -> tuple[FetchResult, Assigned]:
    """Return what aiokafka makes of what was fetched from an offset on."""
    place, assigned = KafkaPartition("p.raw-data", 1), Assigned(first)
    records = PartitionRecords(place, Log(log), None, first, None, None, True, 1)
    return FetchResult(place, assignment=assigned, partition_records=records, backoff=0), assigned


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=5),
    st.integers(0, 30),
    st.lists(st.integers(1, 12), min_size=1),
    st.booleans(),
)
def test_whole_batches_are_what_aiokafka_returns_one_by_one(
    batches: list[tuple[int, int]], first: int, limits: list[int], has_limits: bool
) -> None:
    """The same records, as many at a time, and the consumer stands at the same place: from within a batch as well."""
    log = log_of(*zip(*batches, strict=True))
    usual, theirs = fetched(log, first)
    whole, ours = fetched(log, first)
    whole.getall = WholeBatches(whole, AT)
    for limit in cycle(limits):
        if not usual.has_more():
            break
        expected, found = (one.getall(limit if has_limits else None) for one in (usual, whole))
        assert {ConsumerRecord}.issuperset(map(type, expected))
        assert isinstance(found, Records)
        assert list(found) == list(records_of(AT, expected))
        assert (ours.position, whole.has_more()) == (theirs.position, usual.has_more())


def test_what_was_fetched_before_a_seek_is_dropped() -> None:
    """As aiokafka does: it is of another place than the one that is wanted."""
    result, assigned = fetched(log_of([9], [0]), 0)
    result.getall = WholeBatches(result, AT)
    assert len(result.getall(4)) == 4
    assigned.position = 2
    assert len(result.getall()) == 0
    assert not result.has_more()
