"""The contract check: what is an event, and what exactly is said about bytes that are not."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.engine.deployments import CHARGEBACK, TRANSACTION, deployment

from millrace.refusals import Parked, Refused
from millrace.spec import Scalar
from millrace_engine.contracts import diagnose, shape_of
from millrace_engine.events import Event, compile_events, personal_hash

EVENTS = compile_events(deployment(TRANSACTION, CHARGEBACK))
ALONE = compile_events(deployment(TRANSACTION))
GOOD: dict[str, object] = {
    "txn_id": "t1",
    "card": "c1",
    "terminal": 7,
    "amount": 12.5,
    "ts": "2024-05-01T12:00:00Z",
}
NOON_US = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def check(**changes: object) -> Event:
    """Check a good transaction with some fields changed; `...` takes a field away."""
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return EVENTS.check(json.dumps(fields).encode(), ce_type="transaction")


def refusal(value: bytes, **attributes: str) -> Refused:
    """Return how bytes are refused as a transaction."""
    with pytest.raises(Refused) as caught:
        EVENTS.check(value, **{"ce_type": "transaction", **attributes})
    return caught.value


def with_token(name: str, token: str) -> bytes:
    """Return a good transaction whose field `name` holds a raw JSON token."""
    return json.dumps({**GOOD, name: "@"}).replace('"@"', token).encode()


def test_a_good_event_is_typed() -> None:
    """Fields come in the contract's order, absent optional ones as None, the time in microseconds."""
    event = check(items=3)
    assert dict(event.fields) == {
        "txn_id": "t1",
        "card": "c1",
        "terminal": 7,
        "merchant": None,
        "amount": 12.5,
        "items": 3,
        "online": None,
        "ts": NOON_US,
    }
    assert (event.id, event.entity_id, event.time_us, event.spec) == ("t1", '["c1",7]', NOON_US, TRANSACTION)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2024-05-01T12:00:00Z", NOON_US),
        ("2024-05-01T14:00:00+02:00", NOON_US),
        ("2024-05-01T12:00:00.000001Z", NOON_US + 1),
        (NOON_US // 1_000, NOON_US),
        (-1, -1_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_a_time_is_rfc_3339_or_milliseconds(sent: object, stored: int) -> None:
    """A time is text with its zone or integer milliseconds, kept as integer microseconds UTC."""
    assert check(ts=sent).time_us == stored


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-00:01", 253_402_300_800_000])
def test_a_time_without_a_date_is_out_of_range(sent: object) -> None:
    """A zone that carries a time out of the years 1 to 9999 is refused: no row could say when it was."""
    refused = refusal(json.dumps({**GOOD, "ts": sent}).encode())
    assert (refused.reason, refused.field) == ("out-of-range", "ts")


def test_a_personal_field_is_replaced() -> None:
    """A field marked `pii="hash"` never leaves the check in the clear; null stays null."""
    assert check(merchant="acme").fields["merchant"] == personal_hash("acme")
    assert personal_hash("acme") == "bded55e7ce1c08f27738f8c77ec971e3"
    assert check(merchant=None).fields["merchant"] is None


def test_an_event_that_refers_is_keyed_by_what_it_refers_to() -> None:
    """A label event's entity is the id it refers to; without an id field its id is `ce_id`, or none."""
    value = b'{"txn_id": "t1", "ts": 0}'
    assert EVENTS.check(value, ce_type="chargeback", ce_id="e9").id == "e9"
    event = EVENTS.check(value, ce_type="chargeback")
    assert (event.id, event.entity_id) == (None, "t1")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty-body"),
        (b" \n", "empty-body"),
        (b"\x00\x01", "not-json"),
        (b"{", "not-json"),
        (b'{"txn_id": "\xff"}', "not-json"),
        (b"[]", "not-object"),
        (b"null", "not-object"),
        (b"[" * 200_000, "too-deep"),
        (b'{"deep": ' * 200_000, "too-deep"),
        (json.dumps(GOOD).encode() + b"x", "not-json"),
    ],
)
def test_what_is_no_object_is_refused(value: bytes, reason: str) -> None:
    """Bytes that are no flat JSON object are refused with their reason, with and without a header for the type."""
    assert refusal(value).reason == reason
    with pytest.raises(Refused) as caught:
        EVENTS.check(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "token", "reason"),
    [
        ("amount", '"12"', "wrong-type"),
        ("amount", "true", "wrong-type"),
        ("amount", "null", "wrong-type"),
        ("amount", "NaN", "wrong-type"),
        ("amount", "-Infinity", "wrong-type"),
        ("amount", "[[1]]", "wrong-type"),
        ("amount", "[" * 500 + "]" * 500, "wrong-type"),
        ("amount", "1e999", "out-of-range"),
        ("amount", "-0.01", "out-of-range"),
        ("amount", "10000", "out-of-range"),
        ("terminal", "0", "out-of-range"),
        ("terminal", "9223372036854775808", "out-of-range"),
        ("terminal", "9" * 5_000, "wrong-type"),
        ("terminal", "1.0", "wrong-type"),
        ("items", "0", "out-of-range"),
        ("items", "51", "out-of-range"),
        ("online", "1", "wrong-type"),
        ("card", "5", "wrong-type"),
        ("card", '""', "out-of-range"),
        ("card", '"\\ud800"', "wrong-type"),
        ("merchant", '"\\udc00x"', "wrong-type"),
        ("ts", '"yesterday"', "wrong-type"),
        ("ts", '"2024-05-01T12:00:00"', "wrong-type"),
        ("ts", "1714564800.5", "wrong-type"),
        ("ts", "253402300800000", "out-of-range"),
        ("ts", "true", "wrong-type"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, token: str, reason: str) -> None:
    """A wrong value is refused with the reason and the field's name, wherever the type is stated."""
    typed = with_token(name, token).replace(b"{", b'{"type": "transaction", ', 1)
    for refused in (refusal(with_token(name, token)), refusal(typed, ce_type="")):
        assert (refused.reason, refused.field) == (reason, name)


def test_a_missing_field_is_named() -> None:
    """A field without a value is named, one that may be absent is not asked for."""
    with pytest.raises(Refused, match="missing-field: amount"):
        check(amount=...)
    check(items=...)


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    """A field that the contract does not have is refused, and the text lists those it has."""
    with pytest.raises(Refused, match=r"unknown-field: amuont: .*amount") as caught:
        check(amuont=1.0)
    assert caught.value.field == "amuont"


def test_a_refusal_can_be_written_as_utf_8() -> None:
    """Whatever a producer sent, the refusal's text is plain UTF-8, so that it fits a header."""
    refused = refusal(json.dumps({**GOOD, "\ud800": 1}).encode())
    assert (refused.reason, refused.field) == ("unknown-field", "?")
    str(refused).encode()
    for stated in ({"type": "\udc00"}, {"type": "transaction\ud800"}):
        with pytest.raises(Refused, match="unknown-type") as caught:
            EVENTS.check(json.dumps({**GOOD, **stated}).encode())
        caught.value.detail.encode()


def test_the_type_comes_from_the_header_then_the_body_then_there_is_only_one() -> None:
    """The type is `ce_type`, else the field `type` (no part of the contract), else the deployment's only class."""
    typed = json.dumps({**GOOD, "type": "transaction"}).encode()
    assert EVENTS.check(typed).spec is TRANSACTION
    assert EVENTS.check(typed, ce_type="transaction").fields == check().fields
    assert ALONE.check(json.dumps(GOOD).encode()).spec is TRANSACTION


@pytest.mark.parametrize(
    ("changes", "ce_type"), [({}, None), ({"type": "refund"}, None), ({"type": "transaction"}, "refund")]
)
def test_an_unknown_type_lists_the_known_ones(changes: dict[str, object], ce_type: str | None) -> None:
    """A type that is not declared, or none where there are several, is refused with the known ones."""
    with pytest.raises(Refused, match="chargeback, transaction") as caught:
        EVENTS.check(json.dumps({**GOOD, **changes}).encode(), ce_type=ce_type)
    assert (caught.value.reason, caught.value.field) == ("unknown-type", "type")


def test_a_type_that_is_no_text_is_refused() -> None:
    """The reserved field `type` holds text."""
    for attributes in ({}, {"ce_type": "transaction"}):
        with pytest.raises(Refused, match="wrong-type: type"):
            EVENTS.check(json.dumps({**GOOD, "type": 5}).encode(), **attributes)


def test_a_newer_version_is_parked() -> None:
    """A newer version than the deployed one is set aside unread; the same and older ones are checked."""
    value = b'{"txn_id": "t1", "ts": 0}'
    for schema in ("chargeback/1", "chargeback/2", "https://example.org/schemas/chargeback/2"):
        EVENTS.check(value, ce_type="chargeback", ce_dataschema=schema)
    for schema in ("chargeback/3", "chargeback/" + "9" * 9_000):
        with pytest.raises(Parked, match="newer"):
            EVENTS.check(b'{"txn_id": "t1", "ts": 0, "new": 1}', ce_type="chargeback", ce_dataschema=schema)


@pytest.mark.parametrize("schema", ["transaction/2", "chargeback", "chargeback/x", "chargeback/٣", "2"])
def test_a_schema_of_something_else_is_refused(schema: str) -> None:
    """A schema that does not name the event's type and a version is refused."""
    with pytest.raises(Refused, match="bad-dataschema"):
        EVENTS.check(b'{"txn_id": "t1", "ts": 0}', ce_type="chargeback", ce_dataschema=schema)


TEXT = st.text("a0-\x00é\U0001f600", max_size=5)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.just("2024-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
CHANGES = st.dictionaries(st.sampled_from([*(f.name for f in TRANSACTION.fields), "type", "other"]), JSON_VALUES)
SHAPE = shape_of(TRANSACTION)


@given(CHANGES)
@example({"amount": float("inf")})
@example({"ts": 253_402_300_800_000})
def test_the_struct_and_the_slow_look_agree(changes: dict[str, Scalar]) -> None:
    """The struct refuses an object exactly when the field-by-field look finds something, and then it names a field."""
    value = json.dumps({**GOOD, **changes}).encode()
    try:
        msgspec.json.decode(value, type=SHAPE.struct)
        accepted = True
    except (msgspec.MsgspecError, UnicodeDecodeError):
        accepted = False
    refused = diagnose(value, SHAPE, fallback="agreed")
    assert (refused.detail == "agreed") is accepted
    assert accepted or refused.field is not None


@given(st.binary(max_size=60))
@example(b'{"type": "transaction", "\\ud83d\xff": 1}')
def test_no_bytes_break_the_check(value: bytes) -> None:
    """Any bytes at all give an event or a refusal, never another error."""
    try:
        ALONE.check(value)
    except Refused as refused:
        str(refused).encode()
