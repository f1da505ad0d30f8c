"""Finding records in what Kafka sends: as aiokafka does, or not at all."""

import gzip
import struct
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.bus.fetching import Log, in_batches
from millrace_common.columns import Records, Slices, Unpack
from millrace_common.records import TopicPartition
from millrace_features.core.unpacking import unpacked

AT = TopicPartition("raw-data", 1)
HEADER_BYTES = 61
GZIP, PLAIN = 1, 0
Sent = tuple[int, bytes | None, bytes | None]
texts = st.none() | st.binary(max_size=200)
sent = st.lists(st.tuples(st.integers(0, 1 << 41), texts, texts), min_size=1, max_size=20)


def batch(first: int, records: Sequence[Sent], *, codec: int = PLAIN, headers: int | None = None) -> bytes:
    """Return a batch of the log from an offset on; `headers`: which record has some."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for i, (time_ms, key, value) in enumerate(records):
        builder.append(i, time_ms, key, value, [("ce_id", b"1")] if i == headers else [])
    return struct.pack(">q", first) + bytes(builder.build())[8:]


def read(log: bytes, unpack: Unpack | None, first: int = 0) -> list[Records]:
    """Return the records of each batch."""
    records = PartitionRecords(KafkaPartition("p.raw-data", 1), Log(log), None, first, None, None, True, 1)
    return list(in_batches(AT, records, unpack))


@given(st.lists(st.tuples(sent, st.sampled_from([PLAIN, GZIP]), st.none() | st.integers(0, 3)), min_size=1, max_size=4))
def test_batches_are_what_aiokafka_makes_of_them(batches: list[tuple[list[Sent], int, int | None]]) -> None:
    """Record by record, joined and cut; what is compressed or has headers goes aiokafka's way."""
    log, first = b"", 0
    for records, codec, headers in batches:
        log += batch(first, records, codec=codec, headers=headers)
        first += len(records)
    expected, found = read(log, None), read(log, unpacked)
    assert list(map(list, found)) == list(map(list, expected))
    plain = [codec == PLAIN and not (headers is not None and headers < len(r)) for r, codec, headers in batches]
    assert [isinstance(one.values, Slices) for one in found] == plain
    whole = Records.joined(found)
    assert list(whole) == list(Records.joined(expected))
    assert list(whole[1:-1]) == list(whole)[1:-1]
    assert list(whole.chosen([len(whole) - 1, 0])) == [whole[-1], whole[0]]


@pytest.mark.parametrize("codec", [PLAIN, GZIP])
def test_a_header_with_a_name_that_is_no_text_stops_nothing(codec: int) -> None:
    """Kafka's protocol lets it through: its name is read as far as it goes, all else is as it was sent."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for i, name in enumerate(("ce_id", "na\ufffd", "ce_id")):
        builder.append(i, i, b"k", b"%d" % i, [(name, b"\xff"), ("theirs", None)])
    whole = bytearray(builder.build())
    if codec == GZIP:
        packed = gzip.decompress(whole[HEADER_BYTES:]).replace("\ufffd".encode(), b"m\xff\xff")
        whole[HEADER_BYTES:] = gzip.compress(packed)
        whole[8:12] = struct.pack(">i", len(whole) - 12)
    else:
        whole = whole.replace("\ufffd".encode(), b"m\xff\xff")
    whole[17:21] = struct.pack(">I", crc32c(bytes(whole[21:])))
    (found,) = read(bytes(whole), unpacked)
    assert [(one.offset, one.key, one.value, one.headers) for one in found] == [
        (i, b"k", b"%d" % i, ((name, b"\xff"), ("theirs", b"")))
        for i, name in enumerate(("ce_id", "nam\ufffd\ufffd", "ce_id"))
    ]


@given(st.lists(sent, min_size=2, max_size=4))
def test_what_was_fetched_apart_is_joined(fetched: list[list[Sent]]) -> None:
    """Answers of the broker become one; a piece of one is joined with others as well."""
    parts = [read(batch(0, records), unpacked)[0] for records in fetched]
    parts[0], fetched[0] = parts[0][-2:], fetched[0][-2:]
    whole = Records.joined(parts)
    assert [(r.key, r.value) for r in whole] == [(key, value) for records in fetched for _, key, value in records]
    assert isinstance(whole.keys, Slices)


@given(sent, st.data())
def test_what_is_damaged_is_left_to_aiokafka(records: list[Sent], data: st.DataObject) -> None:
    """Whatever stands there, no byte outside the batch is looked at, and nothing is found outside it."""
    log = bytearray(batch(0, records))
    for _ in range(data.draw(st.integers(1, 3))):
        log[data.draw(st.integers(HEADER_BYTES, len(log) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(HEADER_BYTES, len(log)))
    found = unpacked(bytes(log), slice(HEADER_BYTES, end), data.draw(st.just(len(records)) | st.integers(-1, 99)))
    for column in () if found is None else (found.keys, found.values):
        assert (column.sizes >= -1).all()
        assert (column.firsts >= HEADER_BYTES).all()
        assert (column.firsts + column.sizes <= end).all()
