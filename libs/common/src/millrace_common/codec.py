"""Messages to bytes and back: the only (de)serialisation of our own six kinds.

CloudEvents 1.0 in Kafka binary mode: attributes as `ce_` headers, the value as JSON.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from millrace_common.errors import Refused
from millrace_common.messages import KINDS, Message
from millrace_common.records import Headers, Outgoing, Record

_ENCODER = msgspec.json.Encoder()
_DECODERS = {str(kind.__struct_config__.tag): msgspec.json.Decoder(kind) for kind in KINDS}
_SOURCES = {
    "features": b"/millrace/features",
    "model-candidates": b"/millrace/trainer",
    "promotions": b"/millrace/gatekeeper",
    "predictions": b"/millrace/serving",
    "drift-alerts": b"/millrace/monitor",
}
_CONSTANT: dict[type[Message], Headers] = {
    kind: (
        ("ce_specversion", b"1.0"),
        ("ce_type", str(kind.__struct_config__.tag).encode()),
        ("ce_source", _SOURCES[kind.topic]),
    )
    for kind in KINDS
}
"""The headers that are the same in every message of a kind."""
LETTER_BYTES_MAX = 3 << 19
"""What a dead letter holds of a record; a producer's record is larger only where it was sent compressed."""
_KIND = re.compile(r"millrace\.([a-z_]+)\.v(\d+)")


class NewerVersion(Refused):
    """A message of ours with a major version that this reader does not know: upgrade the reader."""


def rfc3339(time_us: int) -> str:
    """Return a time as CloudEvents writes it.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    return f"{_rfc3339_second(time_us // 1_000_000)}.{time_us % 1_000_000:06d}Z"


@lru_cache(maxsize=1_024)
def _rfc3339_second(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None).isoformat()


def constant_headers(kind: type[Message]) -> Headers:
    """Return the headers that are the same in every message of a kind, which come first."""
    return _CONSTANT[kind]


def encode_value(message: Message) -> bytes:
    """Return the JSON bytes of a message: the same message gives the same bytes."""
    return _ENCODER.encode(message)


def encode(message: Message, *, cause_offset: int | None = None) -> Outgoing:
    """Return a message as the record to send."""
    headers: list[tuple[str, bytes]] = [
        *_CONSTANT[type(message)],
        ("ce_id", message.id.encode()),
        ("ce_time", rfc3339(message.time_us).encode()),
    ]
    if message.correlation_id is not None:
        headers.append(("ce_correlationid", message.correlation_id.encode()))
    if message.causation_id is not None:
        headers.append(("ce_causationid", message.causation_id.encode()))
    return Outgoing(
        message.topic, message.key.encode(), encode_value(message), tuple(headers), cause_offset=cause_offset
    )


def decode(record: Record) -> Message:
    """Return the message of a record on one of our topics.

    Raises Refused (`empty`, `unknown-type`, `malformed`), and NewerVersion for a later major version of ours.
    """
    if not record.value:
        raise Refused("empty", "the record has no value")
    tag = record.header("ce_type") or _tag_of(record.value)
    decoder = _DECODERS.get(tag)
    if decoder is None:
        _refuse_unknown(tag)
    assert decoder is not None
    try:
        message = decoder.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed", str(error)) from error
    if message.topic != record.topic:
        raise Refused("wrong-topic", f"{tag} belongs on {message.topic}")
    return message


class _Tag(msgspec.Struct):
    type: str = ""


def _tag_of(value: bytes) -> str:
    try:
        return msgspec.json.decode(value, type=_Tag).type
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed", str(error)) from error


def _refuse_unknown(tag: str) -> None:
    known = _KIND.fullmatch(tag)
    if known and any(f"millrace.{known[1]}.v{major}" in _DECODERS for major in range(1, int(known[2]))):
        raise NewerVersion("newer-version", f"{tag} is newer than this reader; upgrade it before its writer")
    raise Refused("unknown-type", f"{tag!r}; known: {', '.join(sorted(_DECODERS))}")


def dead_letter(record: Record, refusal: Refused, *, service_version: str) -> Outgoing:
    """Return the dead letter of a record: its bytes and headers, and why and where in headers of ours.

    Of a record that the dead-letter topic would not take whole, the first bytes and `millrace-cut`, its whole size.
    """
    kept, cut = _kept(record)
    why: Headers = (
        ("millrace-reason", refusal.reason.encode()),
        ("millrace-detail", refusal.detail[:2_000].encode()),
        *((("millrace-field", refusal.field.encode()),) if refusal.field else ()),
        ("millrace-source-topic", record.topic.encode()),
        ("millrace-source-partition", str(record.partition).encode()),
        ("millrace-source-offset", str(record.offset).encode()),
        ("millrace-service-version", service_version.encode()),
    )
    return Outgoing(f"{record.topic}.dlq", kept.key, kept.value, kept.headers + why + cut, cause_offset=record.offset)


def _kept(record: Record) -> tuple[Record, Headers]:
    """Return what a dead letter keeps of a record: all of it, unless it came compressed and is larger than a letter."""
    if record.size_bytes <= LETTER_BYTES_MAX:
        return record, ()
    cut = replace(record, key=None, value=(record.value or b"")[:LETTER_BYTES_MAX], headers=())
    return cut, (("millrace-cut", str(record.size_bytes).encode()),)
