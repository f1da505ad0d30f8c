"""Rows as a sheaf of columns against the same rows one by one, on Kafka's wire."""

import msgspec
import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.framed import HEADER_BYTES, Framed
from millrace_common.bus.parcels import REQUEST_BYTES_MAX, packed, parcelled, topics_of
from millrace_common.errors import Refused
from millrace_common.records import Bundle, Outgoing
from millrace_engine.texts import encoded, even, joined, strings, woven
from millrace_features.core.sheaves import Columns, Laid, merged, told_between, varint

texts = st.binary(max_size=200)


def rows_of(records: list[tuple[bytes, bytes]], partition: int | None = 2) -> Laid:
    """Return records as a sheaf."""
    n = len(records)
    ids = np.frombuffer(b"".join(b"%08d" % i for i in range(n)), np.uint8).reshape(n, 8)
    told = woven(told_between((("ce_type", b"row"), ("empty", b"")), [("ce_id", 8)]), even(ids))
    values = woven(joined([b"", b""]), joined([value for _, value in records]))
    columns = Columns(joined([key for key, _ in records]), values, told)
    return Laid("features", partition, columns, np.arange(n) * 2)


def sent(batches: list[Framed]) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    """Return what a reader finds in batches: key, value and headers, having seen that each is sound."""
    found = []
    for framed in batches:
        batch = DefaultRecordBatch(framed._build())
        assert batch.validate_crc()
        records = list(batch)
        assert [record.offset for record in records] == list(range(framed.record_count()))
        found += [(record.key, record.value, list(record.headers)) for record in records]
    return found


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=200), st.integers(1, 5_000))
def test_a_reader_finds_the_records_of_a_sheaf(records: list[tuple[bytes, bytes]], bytes_max: int) -> None:
    """Every record once, in order, whatever the batches hold; none of those is larger than asked."""
    rows = rows_of(records)
    batches = [
        (count, Framed(count, data), len(data) - HEADER_BYTES) for count, data in rows.framed(bytes_max, HEADER_BYTES)
    ]
    assert all(count == 1 or size <= bytes_max for count, _, size in batches)
    assert sent([batch for _, batch, _ in batches]) == [(one.key, one.value, list(one.headers)) for one in rows]


@pytest.mark.parametrize("size", [0, 63, 64, 8_191, 8_192, 1_048_575, 1_048_576])
def test_sizes_where_a_number_takes_another_byte(size: int) -> None:
    """Lengths on either side of where their varint grows."""
    assert sent([Framed(1, data) for _, data in rows_of([(b"k", bytes(size))]).framed(1, HEADER_BYTES)])[0][1] == bytes(
        size
    )


def test_a_batch_keeps_its_bytes_when_it_is_sent_again() -> None:
    """aiokafka states its producer once, and asks for the bytes at each try."""
    ((count, data),) = rows_of([(b"k", b"v")]).framed(1_000, HEADER_BYTES)
    batch = Framed(count, data)
    batch._set_producer_state(7, 3, 11)  # as aiokafka does
    first = bytes(batch._build())
    assert bytes(batch._build()) == first
    assert (DefaultRecordBatch(bytearray(first)).producer_id, batch.size()) == (7, len(first))


def test_a_bundle_is_parted_like_its_records() -> None:
    """The sheaf goes to its partition whole; places are those of the records one by one."""
    bundle = Bundle([Outgoing("late", b"k", b"v", (), 1)], rows_of([(b"a", b"1"), (b"b", b"2")]))
    assert topics_of(bundle) == {"late", "features"} == topics_of(list(bundle))
    parcels = parcelled(bundle, {"late": 4, "features": 4})
    assert [(one.topic, one.partition, list(one.places), list(one.records)) for one in parcels] == [
        (one.topic, one.partition, list(one.places), list(one.records))
        for one in parcelled(list(bundle), {"late": 4, "features": 4})
    ]
    assert bundle[1:] == list(bundle)[1:] == list(bundle.sheaf) == bundle.sheaf[:]
    assert bundle[-1] == bundle.sheaf[-1] == bundle.sheaf[1]


def test_a_sheaf_without_a_partition_is_parted_by_its_keys() -> None:
    """Where the topic has another number of partitions than raw-data."""
    bundle = Bundle([], rows_of([(b"a", b"1"), (b"b", b"2")], partition=None))
    assert sorted(one.partition for one in parcelled(bundle, {"features": 64})) == sorted(
        one.partition for one in parcelled(list(bundle), {"features": 64})
    )
    with pytest.raises(IndexError):
        bundle.sheaf[2]


def test_a_row_that_no_request_takes_is_refused() -> None:
    """Before anything is sent."""
    bundle = Bundle([], rows_of([(b"k", b"small"), (b"k", bytes(REQUEST_BYTES_MAX)), (b"k", b"small")]))
    (parcel,) = parcelled(bundle, {"features": 4})
    with pytest.raises(Refused) as refused:
        list(packed(lambda: pytest.fail("a sheaf needs no builder"), parcel))
    assert refused.value.reason == "too-large"


def test_numbers_are_written_as_kafka_does() -> None:
    """Zigzag, seven bits to a byte."""
    assert [varint(n) for n in (0, 63, 64, 8_191, 8_192)] == [b"\0", b"~", b"\x80\x01", b"\xfe\x7f", b"\x80\x80\x01"]


def test_each_record_has_the_headers_that_differ_from_record_to_record() -> None:
    """Among those that all have."""
    first, second = rows_of([(b"k", b"v")] * 2)
    assert first.headers == (("ce_type", b"row"), ("empty", b""), ("ce_id", b"00000000"))
    assert second.headers[-1] == ("ce_id", b"00000001")


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_texts_are_encoded_together_as_they_are_alone(texts: list[str]) -> None:
    """Whatever is in them."""
    column, (plain, quoted) = encoded(texts), strings(texts)
    assert [column.text(i) for i in range(len(texts))] == list(map(str.encode, texts))
    assert [plain.text(i) for i in range(len(texts))] == list(map(str.encode, texts))
    assert [quoted.text(i) for i in range(len(texts))] == list(map(msgspec.json.encode, texts))


odd = st.binary(max_size=300)
outgoings = st.builds(
    Outgoing,
    st.just("features"),
    odd,
    odd,
    st.lists(st.tuples(st.text(st.characters(codec="utf-8")), odd), max_size=3).map(tuple),
    st.just(1),
    st.integers(0, 2**60),
)


@given(st.lists(outgoings, min_size=1, max_size=20))
def test_records_are_read_back_as_they_were(records: list[Outgoing]) -> None:
    """Key, value, headers and cause of each, whatever they are."""
    assert list(Laid.of(records, 1)) == records


@given(st.lists(st.tuples(outgoings, st.integers(0, 2)), min_size=1, max_size=20))
def test_sheaves_merge_by_the_places_of_their_records(records: list[tuple[Outgoing, int]]) -> None:
    """However records are spread over sheaves, merged they are in log order again."""
    spread = [[place for place, (_, of) in enumerate(records) if of == which] for which in range(3)]
    parts = [(places, Laid.of([records[place][0] for place in places], 1)) for places in spread if places]
    assert list(merged(parts)) == [record for record, _ in records]
