"""What is published, by partition and in whole batches."""

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.parcels import REQUEST_BYTES_MAX, Positions, packed, parcelled
from millrace_common.errors import Refused
from millrace_common.keys import partition_of
from millrace_common.messages import Position
from millrace_common.records import Outgoing

PARTITIONS = {"a": 3, "b": 1}
sent = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([b"k", b"l", None]), st.sampled_from([None, 0, 2])))


def builder() -> BatchBuilder:
    """Return an empty batch of at most 1 KiB."""
    return BatchBuilder(1 << 10, 0)


@given(sent)
def test_each_record_goes_to_its_partition_in_order(records: list[tuple[str, bytes | None, int | None]]) -> None:
    """Those for one partition stay in their order; a stated partition counts, else the key's murmur2."""
    outgoing = [Outgoing(topic, key, b"%d" % i, (), at) for i, (topic, key, at) in enumerate(records)]
    found = {}
    for parcel in parcelled(outgoing, PARTITIONS):
        assert parcel.places == sorted(parcel.places)
        assert [outgoing[place] for place in parcel.places] == parcel.records
        found.update({place: (parcel.topic, parcel.partition) for place in parcel.places})
    assert found == {
        i: (topic, partition_of(key or b"", PARTITIONS[topic]) if at is None else at)
        for i, (topic, key, at) in enumerate(records)
    }


def test_positions_are_those_of_the_records() -> None:
    """By place, from either end and in slices."""
    outgoing = [Outgoing("a", None, b"", (), place % 3) for place in range(6)]
    positions = Positions(parcelled(outgoing, PARTITIONS), [10, 20, 30, 11, 21, 31])
    expected = [Position(topic="a", partition=i % 3, offset=10 * (i % 3 + 1) + i // 3) for i in range(6)]
    assert list(positions) == expected
    assert positions[-1] == expected[-1]
    assert positions[1:3] == expected[1:3]
    with pytest.raises(IndexError):
        positions[6]


@given(st.lists(st.integers(0, 900), min_size=1, max_size=40))
def test_batches_hold_every_record_once_in_order(sizes: list[int]) -> None:
    """A batch that is full is followed by another; a record larger than a batch has one to itself."""
    (parcel,) = parcelled([Outgoing("b", None, bytes(size)) for size in [*sizes, 2_000]], PARTITIONS)
    loads = list(packed(builder, parcel))
    assert [place for load in loads for place in load.places] == parcel.places
    assert [load.batch.record_count() for load in loads] == [len(load.places) for load in loads]


def test_a_record_that_no_request_takes_is_refused() -> None:
    """Before anything is sent; headers count."""
    large = Outgoing("b", b"k", b"v", (("h", bytes(REQUEST_BYTES_MAX)),))
    (parcel,) = parcelled([Outgoing("b", None, b"small"), large, large], PARTITIONS)
    with pytest.raises(Refused) as refused:
        list(packed(builder, parcel))
    assert refused.value.reason == "too-large"
