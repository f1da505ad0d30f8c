"""Many events opened together against each of them by itself."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from tests.unit.engine.deployments import CHARGEBACK, TRANSACTION, deployment

from millrace.refusals import Refused
from millrace.spec import Scalar
from millrace_engine.events import UNDECODABLE, compile_events
from millrace_engine.fields import PIECE, Fields
from millrace_engine.texts import joined

CONTRACT = compile_events(deployment(TRANSACTION, CHARGEBACK)).contracts["transaction"]
NAMES = [field.name for field in TRANSACTION.fields]

GOOD = b'{"txn_id":"t","card":"c","terminal":1,"amount":1,"ts":1}'
SHREDS = [GOOD, GOOD, GOOD[:-1], b"{", b"}", b"[", b"]", b",", b'"', b":", b"\n", b"\\", b'"merchant"', b"null"]

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
payments = st.fixed_dictionaries(
    {
        "txn_id": texts,
        "card": texts,
        "terminal": st.integers(1, 2**62),
        "amount": st.floats(0, 9_999),
        "ts": st.sampled_from([1_700_000_000_123, "2024-05-01T14:00:00+02:00"]),
    },
    optional={"merchant": st.none() | texts, "online": st.booleans()},
)


def opened(sent: Sequence[bytes], take: Sequence[str] = (), *, as_json: bool = False) -> Fields:
    """Return events that may leave their type out."""
    return Fields.opened(CONTRACT, joined(sent), types={"transaction", UNSET}, take=take, as_json=as_json)


def alone(sent: bytes) -> dict[str, Scalar]:
    """Return the fields of one event."""
    return CONTRACT.event(sent, None).fields


@given(
    st.lists(payments.map(lambda payment: json.dumps(payment).encode()), min_size=1, max_size=20),
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
    st.data(),
)
def test_events_opened_together_are_those_opened_alone(
    sent: list[bytes], take: set[str], as_json: bool, data: st.DataObject
) -> None:
    """As columns, as JSON, as text and one by one; taken at once or asked for later; all of them or some."""
    some = data.draw(st.lists(st.sampled_from(range(len(sent))), min_size=1))
    fields = opened(sent, sorted(take), as_json=as_json)
    for ours, theirs in ((fields, sent), (fields.chosen(some), [sent[i] for i in some])):
        each = list(map(alone, theirs))
        assert {name: list(column) for name, column in ours.items()} == {
            name: [event[name] for event in each] for name in NAMES
        }
        assert [msgspec.json.decode(ours.json().text(i)) for i in range(len(each))] == each
        assert [msgspec.structs.asdict(ours.event(i)) for i in range(len(each))] == [
            {"type": UNSET, **event} for event in each
        ]
        assert ours.texts(["terminal"]) == [str(event["terminal"]) for event in each]
        assert ours.texts(["card", "terminal"]) == [CONTRACT.event(one, None).entity_id for one in theirs]


def test_more_events_than_are_opened_at_once() -> None:
    """In their order, across the seams."""
    events = [{"txn_id": f"t{n}", "card": "c", "terminal": 1 + n, "amount": 1, "ts": n} for n in range(2 * PIECE + 3)]
    sent = [json.dumps(event).encode() for event in events]
    fields = opened(sent, ["terminal"], as_json=True)
    assert fields["terminal"] == [1 + n for n in range(len(sent))]
    assert fields["txn_id"] == [f"t{n}" for n in range(len(sent))]
    assert [msgspec.json.decode(fields.json().text(i))["ts"] for i in range(len(sent))] == [
        1_000 * n for n in range(len(sent))
    ]


@pytest.mark.parametrize("odd", [b'{"card":"c"}', b"{", GOOD[:-1] + b',"type":"visit"}'])
def test_one_that_breaks_the_contract_or_is_of_another_class_stops_all(odd: bytes) -> None:
    """Wherever it lies; who asked looks at each closely then."""
    assert len(opened([GOOD] * (PIECE + 1))["card"]) == PIECE + 1
    with pytest.raises(msgspec.MsgspecError):
        opened([*[GOOD] * PIECE, odd])


@given(st.lists(st.lists(st.sampled_from(SHREDS), max_size=6).map(b"".join), min_size=1, max_size=5))
def test_no_event_is_taken_for_a_part_of_another(sent: list[bytes]) -> None:
    """Whatever their bytes are: all are opened where each by itself keeps the contract, and else none."""
    try:
        each = list(map(alone, sent))
    except Refused:
        with pytest.raises(UNDECODABLE):
            opened(sent)
    else:
        assert {name: list(column) for name, column in opened(sent).items()} == {
            name: [event[name] for event in each] for name in NAMES
        }


@pytest.mark.parametrize(
    "sent",
    [
        [GOOD + b"\n" + GOOD, b"{"],
        [GOOD + GOOD, b""],
        [b"", GOOD + b"\n" + GOOD],
        [GOOD[:-1] + b',"merchant":"}', b'{"}'],
        [GOOD[:-1] + b',"merchant":{}', b"{}"],
        [GOOD[:-1] + b',"merchant":[{}', b"{}]}", GOOD + GOOD],
    ],
)
def test_events_that_make_as_many_only_together_are_refused(sent: list[bytes]) -> None:
    """Two in one and none in the next are not two."""
    with pytest.raises(UNDECODABLE):
        opened(sent)


@pytest.mark.parametrize("odd", [GOOD + b"\n", b" " + GOOD, GOOD.replace(b",", b"\n,\n"), b"{\n" + GOOD[1:]])
def test_space_around_and_within_an_event_says_nothing(odd: bytes) -> None:
    """Events on more lines than one are events."""
    assert opened([GOOD, odd, GOOD])["card"] == ["c"] * 3


def test_no_other_field_is_one() -> None:
    """A column that the contract does not name is missing."""
    fields = opened([GOOD])
    assert "type" not in fields
    with pytest.raises(KeyError, match="nothing"):
        fields["nothing"]
