"""Decoding a batch of our own messages."""

import pytest
from msgspec.structs import replace

from millrace_common.codec import LETTER_BYTES_MAX, NewerVersion, dead_letter, encode
from millrace_common.delivery import decoded
from millrace_common.errors import Refused
from millrace_common.messages import FeatureRow, Label, Position
from millrace_common.records import Batch, Outgoing, Record, TopicPartition

AT = TopicPartition("features", 0)
SOURCE = Position(topic="raw-data", partition=0, offset=0)
ROW = FeatureRow(
    row_id="r", event_type="e", event_id="i", entity_type="card", entity_id="c", spine=True, event_time_us=1,
    append_time_us=2, source=SOURCE, groups={},
)  # fmt: skip
LABEL = Label(
    label_id="l", name="Fraud", event_type="e", event_id="i", source_event_id="s", value=True, seen_time_us=1,
    append_time_us=2, source=SOURCE,
)  # fmt: skip


def batch(*outgoing: Outgoing) -> Batch:
    """Return a batch of these records."""
    return Batch(AT, [Record("features", 0, i, o.key, o.value, o.headers, 0) for i, o in enumerate(outgoing)])


def test_messages_of_the_wanted_kinds_come_in_log_order() -> None:
    """Other kinds are skipped without a dead letter: another handler of the topic wants them."""
    rows, letters = decoded(batch(encode(ROW), encode(LABEL), encode(ROW)), FeatureRow, service_version="1")
    assert [record.offset for record, _ in rows] == [0, 2]
    assert all(isinstance(row, FeatureRow) for _, row in rows)
    assert letters == []


def test_what_is_broken_becomes_a_dead_letter_with_its_bytes_and_place() -> None:
    """Bytes, reason and source stand in the dead letter; the rest of the batch is handled."""
    broken = replace(encode(ROW), value=b'{"type":"millrace.feature_row.v1"}')
    rows, letters = decoded(
        batch(broken, Outgoing("features", None, None), encode(ROW)), FeatureRow, service_version="1"
    )
    assert [record.offset for record, _ in rows] == [2]
    assert [(letter.topic, letter.value, letter.cause_offset) for letter in letters] == [
        ("features.dlq", broken.value, 0),
        ("features.dlq", None, 1),
    ]
    assert [dict(letter.headers)["millrace-reason"] for letter in letters] == [b"malformed", b"empty"]


def test_a_message_without_headers_is_told_by_its_value() -> None:
    """The value is self-contained; a foreign tool may have copied it without headers."""
    rows, _ = decoded(batch(replace(encode(ROW), headers=())), FeatureRow, service_version="1")
    assert len(rows) == 1


def test_a_newer_version_stops_the_reader() -> None:
    """A message of a later major version is neither skipped nor refused: the reader must be upgraded."""
    newer = replace(encode(ROW), headers=(("ce_type", b"millrace.feature_row.v2"),))
    with pytest.raises(NewerVersion, match="upgrade"):
        decoded(batch(newer), FeatureRow, service_version="1")


def test_a_dead_letter_of_a_record_that_came_compressed_keeps_what_its_topic_takes() -> None:
    """Small enough, everything is kept; larger, the first bytes and the whole size, so that it can always be sent."""
    small = Record("raw-data", 2, 7, b"k", b"x" * 1_000, (("h", b"1"),), 0)
    large = replace(small, value=b"x" * (5 << 20))
    whole, cut = (dead_letter(one, Refused("too-large", "why"), service_version="1") for one in (small, large))
    assert (whole.key, whole.value, whole.headers[0]) == (small.key, small.value, ("h", b"1"))
    assert "millrace-cut" not in dict(whole.headers)
    assert (cut.key, cut.value) == (None, b"x" * LETTER_BYTES_MAX)
    assert dict(cut.headers)["millrace-cut"] == str(large.size_bytes).encode()
    assert dict(cut.headers)["millrace-source-offset"] == b"7"
