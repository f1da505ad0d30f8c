"""Events that break their contract, one for each row of docs/reference/bad-input.md, and what is said of each."""

import json
from dataclasses import dataclass

from tests.e2e.live_platform import now_ms, payment

HOUR_MS = 3_600_000
DEEP = 5_000


@dataclass(frozen=True)
class BadEvent:
    """Bytes, and why they are refused. `field` is the place that the refusal names."""

    row: str
    value: bytes
    reason: str
    field: str | None = None


def changed(row: str, **changes: object) -> bytes:
    """Return a payment whose id is the row's name, with some fields changed."""
    fields = {**payment(row, f"card-{row}"), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


BAD_EVENTS = (
    BadEvent("not-json", b"\xff\xfe{no json", "not-json"),
    BadEvent("cut-short", changed("cut-short")[:-9], "not-json"),
    BadEvent("not-an-object", b'"text"', "not-object"),
    BadEvent("deep-nesting", b'{"txn_id":' + b"[" * DEEP + b"]" * DEEP + b"}", "too-deep"),
    BadEvent("nested-value", changed("nested-value", amount=[[1.0]]), "wrong-type", "amount"),
    BadEvent("wrong-type", changed("wrong-type", amount="ten"), "wrong-type", "amount"),
    BadEvent("null", changed("null", amount=None), "wrong-type", "amount"),
    BadEvent("not-a-number", changed("not-a-number", amount=float("nan")), "wrong-type", "amount"),
    BadEvent("too-large-a-number", changed("too-large-a-number").replace(b"12.5", b"1e999"), "out-of-range", "amount"),
    BadEvent("time-without-zone", changed("time-without-zone", ts="2026-01-01T00:00:00"), "wrong-type", "ts"),
    BadEvent("time-without-date", changed("time-without-date", ts="0001-01-01T00:00:00+23:00"), "out-of-range", "ts"),
    BadEvent("missing-field", changed("missing-field", amount=...), "missing-field", "amount"),
    BadEvent("unknown-field", changed("unknown-field", colour="red"), "unknown-field", "colour"),
    BadEvent("out-of-range", changed("out-of-range", amount=-1), "out-of-range", "amount"),
    BadEvent("empty-entity", changed("empty-entity", card=""), "out-of-range", "card"),
    BadEvent("unknown-type", changed("unknown-type", type="refund"), "unknown-type", "type"),
    BadEvent("no-type", changed("no-type", type=...), "unknown-type", "type"),
    BadEvent("half-a-character", changed("half-a-character", type="\udc00"), "unknown-type", "type"),
    BadEvent("far-future", changed("far-future", ts=now_ms() + 24 * HOUR_MS), "future", "ts"),
)
