"""An event that keeps its contract, as the record that goes onto raw-data."""

from dataclasses import dataclass

import msgspec

from millrace.refusals import Refused
from millrace_common.codec import rfc3339
from millrace_common.ids import event_id_at, h
from millrace_common.messages import Position
from millrace_common.records import Headers, Outgoing
from millrace_common.topics import RAW_DATA
from millrace_engine.events import Event

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Request:
    """What a request says of all its events."""

    key: str | None = None
    """Its `Idempotency-Key`."""
    traceparent: str | None = None


class Accepted(msgspec.Struct, frozen=True):
    """An event that the broker has."""

    id: str
    topic: str
    partition: int
    offset: int


def refuse_future(event: Event, *, now_us: int) -> None:
    """Raise Refused where an event claims a time later than its contract allows for clocks that run ahead."""
    ahead_us = event.time_us - now_us
    if ahead_us > event.spec.max_future_us:
        detail = f"{ahead_us / 1e6:.3f} s ahead of the clock here; the limit is {event.spec.max_future_us / 1e6:g} s"
        raise Refused("future", detail, field=event.spec.time_field)


def record_of(event: Event, value: bytes, *, index: int, request: Request) -> Outgoing:
    """Return the record of the event in `value`, the `index`th of its request: as sent, without the field `type`."""
    identity = identity_of(event, index=index, request=request)
    headers: Headers = (
        ("ce_specversion", b"1.0"),
        *((("ce_id", identity.encode()),) if identity is not None else ()),
        ("ce_type", event.spec.type.encode()),
        ("ce_source", b"/millrace/ingest"),
        ("ce_time", rfc3339(event.time_us).encode()),
        *((("traceparent", request.traceparent.encode()),) if request.traceparent else ()),
    )
    return Outgoing(RAW_DATA.name, event.entity_id.encode(), _without_type(value), headers)


def identity_of(event: Event, *, index: int, request: Request) -> str | None:
    """Return the event's own id, else one made from the `Idempotency-Key` and its place in the request.

    None: where it comes to lie names it; a label event is named by what it says.
    """
    if event.id is not None or request.key is None or event.spec.refers_to is not None:
        return event.id
    return h("idempotency-key", request.key, index)


def accepted(outgoing: Outgoing, position: Position) -> Accepted:
    """Return what the sender is told of an event that the broker has."""
    ids = [value.decode() for name, value in outgoing.headers if name == "ce_id"]
    identity = ids[0] if ids else event_id_at(position.topic, position.partition, position.offset)
    return Accepted(identity, position.topic, position.partition, position.offset)


def _without_type(value: bytes) -> bytes:
    if b'"type"' not in value:
        return value
    members = _MEMBERS.decode(value)
    if members.pop("type", None) is None:
        return value
    return msgspec.json.encode(members)
