"""What the Kafka buses make of what a broker hands them."""

from aiokafka.structs import ConsumerRecord

from millrace_common.bus.logs import record_of
from millrace_common.records import TopicPartition

AT = TopicPartition("raw-data", 1)


def test_a_header_without_a_value_is_empty() -> None:
    """Kafka lets a header have no value; a service reads it as it reads an empty one."""
    raw = ConsumerRecord(
        "p.raw-data", 1, 7, 1_700, 1, b"k", b"v", None, 1, 1, (("ce_id", None), ("theirs", b"1"))
    )  # fmt: skip
    record = record_of(AT, raw)
    assert record.headers == (("ce_id", b""), ("theirs", b"1"))
    assert record.header("ce_id") == ""
    assert (record.topic, record.offset, record.append_time_us) == ("raw-data", 7, 1_700_000)
