"""What the Kafka buses make of what a broker hands them."""

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from millrace_common.bus.fetching import as_unpacked
from millrace_common.bus.logs import records_of
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


def test_records_as_unpacked_are_read_as_aiokafkas_copies_are() -> None:
    """What the consumer leaves out of aiokafka's way changes nothing of a record, with keys and values or without."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, key in enumerate([b"k", None]):
        for headers in ([], [("ce_id", b"1"), ("theirs", None)]):
            for value in (b"v", None):
                builder.append(4 * offset + 2 * bool(headers) + (value is None), 1_700 + offset, key, value, headers)
    data = bytes(builder.build())
    usual, bare = (PartitionRecords(KafkaPartition("p.raw-data", 1), MemoryRecords(data), None, 0, None, None, True, 1)
                   for _ in range(2))  # fmt: skip
    bare._consumer_record = as_unpacked
    copies, unpacked = list(usual), list(bare)
    assert {type(raw) for raw in copies} == {ConsumerRecord}
    assert ConsumerRecord not in {type(raw) for raw in unpacked}
    assert len(unpacked) == 8
    assert list(records_of(AT, unpacked)) == list(records_of(AT, copies))
    for name in ("offset", "timestamp", "timestamp_type"):
        assert [getattr(raw, name) for raw in unpacked] == [getattr(raw, name) for raw in copies]
