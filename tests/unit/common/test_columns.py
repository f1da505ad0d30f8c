"""Records as columns against the records that they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.columns import NoHeaders, Records, Slices, sizes_of
from millrace_common.records import Record, TopicPartition

AT = TopicPartition("raw-data", 1)
maybe = st.none() | st.binary(max_size=3)
headers = st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type"]), st.binary(max_size=2)), max_size=2).map(tuple)
drawn = st.lists(
    st.builds(Record, st.just(AT.topic), st.just(AT.partition), st.integers(0, 2**62), maybe, maybe, headers,
              st.integers(0, 2**62)),
    max_size=6,
)  # fmt: skip


@given(drawn, st.data())
def test_columns_are_a_sequence_of_their_records(records: list[Record], data: st.DataObject) -> None:
    """Each place, slice, choice and walk gives the records that were put in, and what is made of columns are they."""
    columns = Records.of(AT, records)
    assert Records.of(AT, columns) is columns
    assert len(columns) == len(records)
    assert list(columns) == records
    assert [columns[i] for i in range(-len(records), len(records))] == records + records
    first, last = data.draw(st.tuples(st.integers(-7, 7), st.integers(-7, 7)))
    assert list(columns[first:last]) == records[first:last]
    indices = data.draw(st.lists(st.integers(0, len(records) - 1), max_size=6)) if records else []
    assert list(columns.chosen(indices)) == [records[i] for i in indices]


@given(st.lists(maybe, max_size=6), st.integers(-7, 7), st.integers(-7, 7))
def test_slices_are_a_sequence_of_their_byte_strings(held: list[bytes | None], first: int, last: int) -> None:
    """Each place, slice and walk gives what was put in, and so do their sizes."""
    sizes = sizes_of(held)
    lengths = np.maximum(sizes, 0)
    slices = Slices(b"".join(filter(None, held)), np.cumsum(lengths) - lengths, sizes)
    assert list(slices) == held
    assert list(slices[first:last]) == held[first:last]
    assert [slices[i] for i in range(-len(held), len(held))] == held + held
    assert sizes_of(slices[first:last]).tolist() == sizes_of(held[first:last]).tolist()


@given(st.integers(0, 6), st.integers(-7, 7), st.integers(-7, 7))
def test_no_headers_are_a_sequence_of_empty_ones(count: int, first: int, last: int) -> None:
    """Each place, slice and walk gives what as many empty headers would."""
    empty, held = NoHeaders(count), [()] * count
    assert list(empty) == held
    assert list(empty[first:last]) == held[first:last]
    assert [empty[i] for i in range(-count, count)] == held + held
    with pytest.raises(IndexError):
        empty[count]
