"""The body of a request, cut into events, and every way in which a request is refused."""

from typing import ClassVar

import msgspec

from millrace_common.topics import EVENT_BYTES_MAX

BODY_BYTES_MAX = 16 << 20
KEY_CHARACTERS_MAX = 256
SHOWN_FAILURES_MAX = 100

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why one event of a request is refused. `index` counts from 0."""

    index: int
    field: str | None
    reason: str
    detail: str
    event_id: str | None = None


class Declined(Exception):
    """A request that is answered with an error; nothing of it was published."""

    status: ClassVar[int] = 400


class EmptyBody(Declined):
    """There is no event in the body."""


class TooLarge(Declined):
    """The body or one of its events is over its limit."""

    status = 413


class OtherBody(Declined):
    """The `Idempotency-Key` came before with another body."""

    status = 409


class Broken(Declined):
    """At least one event breaks its contract; `failures` names each, at most the first 100."""

    status = 422

    def __init__(self, failures: list[Failure], events: int) -> None:
        first = failures[0]
        place = f" field {first.field}:" if first.field else ""
        more = f" ({len(failures)} of {events} events are refused)" if events > 1 else ""
        super().__init__(f"event {first.index}:{place} {first.reason}: {first.detail}{more}")
        self.failures = failures[:SHOWN_FAILURES_MAX]


def events_in(body: bytes) -> list[bytes]:
    """Return the events of a body: one JSON object, a JSON list, or JSON lines, told apart by what stands there.

    Raises EmptyBody, TooLarge, and Broken where a list is no JSON.

    >>> events_in(b'[{"a":1},{"a":2}]') == events_in(b'{"a":1}\\n{"a":2}\\n')
    True
    """
    text = body.strip()
    if not text:
        raise EmptyBody("body: empty; send a JSON object, a JSON list, or JSON lines")
    events = _listed(text) if text.startswith(b"[") else _lines(text)
    if not events:
        raise EmptyBody("body: a list without an event")
    for index, event in enumerate(events):
        if len(event) > EVENT_BYTES_MAX:
            raise TooLarge(f"event {index}: {len(event)} bytes; the limit is {EVENT_BYTES_MAX}")
    return events


def _listed(text: bytes) -> list[bytes]:
    try:
        return [bytes(event) for event in _LIST.decode(text)]
    except RecursionError as error:
        failure = Failure(index=0, field=None, reason="too-deep", detail="an event is a flat object")
        raise Broken([failure], 1) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken([Failure(index=0, field=None, reason="not-json", detail=str(error))], 1) from error


def _lines(text: bytes) -> list[bytes]:
    """Return one object, however it is laid out, as it is; else every line that is not blank."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) == 1:
        return lines
    try:
        return [bytes(_ONE.decode(text))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return lines
