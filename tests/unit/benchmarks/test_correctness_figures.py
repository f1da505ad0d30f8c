"""From a log and rows to what is missing, too much or wrong, and on to the page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import msgspec
import pytest
from benchmarks.correctness import __main__ as command
from benchmarks.correctness import tables
from benchmarks.correctness.drivers.job import LATENESS, PARTITIONS, WINDOW
from benchmarks.correctness.exact import Log, Place, Values, by_rule, exact
from benchmarks.correctness.judging import judged, own_rows, peer_rows
from benchmarks.correctness.programs import DECLARED, DRIVERS
from benchmarks.correctness.streams import STREAMS, Stream, sent
from hypothesis import given
from hypothesis import strategies as st

from millrace.loading import load
from millrace_common.codec import encode_value
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Position
from millrace_common.records import Record

DEPLOYMENT = load([DECLARED])
MINUTE_MS = 60_000
PAYMENTS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 90 * MINUTE_MS), st.none() | st.integers(-9, 9)), max_size=40
)
"""Id, time and amount: few enough that nothing leaves the ring, and that ids come again."""


def record(offset: int, value: Mapping[str, object], topic: str = "raw-data") -> Record:
    """Return a record of partition 0."""
    return Record(topic, 0, offset, b"c", json.dumps(value).encode(), (), 0)


def log(*payments: tuple[str, float, float | None]) -> Log:
    """Return a log of one card: (id, minute, amount)."""
    values = [
        {"payment_id": name, "card": "c", "merchant": "m", "amount": amount, "ts": int(minute * MINUTE_MS)}
        for name, minute, amount in payments
    ]
    return [[record(offset, value) for offset, value in enumerate(values)]]


def test_exact_windows_are_of_the_hour_that_ends_with_the_event() -> None:
    """The event itself counts, and one an hour older to the millisecond; a newer one that came before does not."""
    found = exact(log(("a", 0, 5.0), ("b", 60, 2.0), ("c", 58, None), ("d", 60.001, 1.0)))

    assert list(found.values()) == [(1, 5.0, 5.0), (2, 7.0, 5.0), (2, 5.0, 5.0), (3, 3.0, 2.0)]


def test_an_id_counts_once_and_what_is_too_late_never() -> None:
    """Neither has a row or changes another; at the bound itself an event still counts."""
    found = exact(log(("a", 60, 1.0), ("a", 61, 9.0), ("b", 54.999, 9.0), ("c", 55, 2.0), ("d", 62, 4.0)))

    assert found == {(0, 0): (1, 1.0, 1.0), (0, 3): (1, 2.0, 2.0), (0, 4): (3, 7.0, 4.0)}


@given(PAYMENTS)
def test_the_rule_is_exact_where_nothing_left_the_ring(payments: list[tuple[int, int, int | None]]) -> None:
    """The oracle and the obvious function judge and count alike; they share nothing."""
    times = {ts: (f"p{name}", ts / MINUTE_MS, amount) for name, ts, amount in payments}
    one = log(*times.values())

    assert by_rule(one, DEPLOYMENT) == exact(one)


def test_the_peers_are_asked_for_what_is_declared() -> None:
    """Window and lateness of the drivers are those of the pipeline."""
    [group] = DEPLOYMENT.groups.values()

    assert {feature.window_us for feature in group.features} == {WINDOW.total_seconds() * 1e6}
    assert DEPLOYMENT.events["payment"].lateness_us == LATENESS.total_seconds() * 1e6


TRUE: Mapping[Place, Values] = {(0, 0): (1, 2.0, 2.0), (0, 1): (2, 4.0, 2.0), (1, 0): (4, 0.0, None)}


def test_rows_like_the_truth_are_judged_so() -> None:
    """Rounding to float32 is no mismatch, unless the same bits are asked for."""
    found = judged({at: [(n, total + 1e-8, most)] for at, (n, total, most) in TRUE.items()}, TRUE)  # type: ignore[operator]  # numbers

    assert (found.expected, found.came, found.missing, found.surplus, found.repeated, found.wrong) == (3, 3, 0, 0, 0, 0)
    assert judged({at: [(n, 1e-8, most)] for at, (n, _, most) in TRUE.items()}, TRUE, tolerance=0.0).wrong == 3


def test_what_is_missing_too_much_repeated_or_wrong_is_counted() -> None:
    """Each kind by itself; an event of which one row is wrong is wrong, by every value that is."""
    rows: Mapping[Place, Sequence[Values]] = {
        (0, 0): [TRUE[0, 0], (1, 3.0, 2.0)],
        (0, 9): [(1, 1.0, 1.0)],
        (1, 0): [(3, 0.0, 0.0)],
    }
    found = judged(rows, TRUE)

    assert (found.came, found.missing, found.surplus, found.repeated, found.wrong) == (4, 1, 1, 1, 2)
    assert found.wrong_by_value == {"count": 1, "total": 1, "most": 1}
    assert found.largest_error == 0.5
    assert found.count_error_mean == 0.25 / 3


def test_rows_are_read_by_the_place_of_their_event() -> None:
    """Ours and a peer's, each in its own format."""
    row = FeatureRow(
        row_id="r",
        event_type="payment",
        event_id="a",
        entity_type="card",
        entity_id="c",
        spine=True,
        event_time_us=1,
        append_time_us=2,
        source=Position(topic="raw-data", partition=2, offset=7),
        groups={"Hour@1": {"count_1h": 1, "total_1h": 2.0, "most_1h": None}},
    )
    headers = (("ce_type", b"millrace.feature_row.v1"),)
    ours = msgspec.structs.replace(record(0, {}, "features"), value=encode_value(row), headers=headers)
    theirs = record(0, {"partition": 2, "offset": 7, "values": {"value": [1, 2.0, None]}}, "features")

    assert own_rows([[ours]]) == {"window": {(2, 7): [(1, 2.0, None)]}}
    assert peer_rows([[theirs, theirs]]) == {"value": {(2, 7): [(1, 2.0, None)] * 2}}


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_stream_is_what_its_name_says(stream: Stream) -> None:
    """Each sends all payments; repetitions and late events are in those that are named for them alone."""
    events = sent(stream, events=2_000, cards=20, now_ms=1_700_000_000_000)
    partitions: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    for event in events:
        of = partitions[partition_of((event.key or b"").decode(), PARTITIONS)]
        of.append(Record(event.topic, 0, len(of), event.key, event.value, event.headers, 0))
    ids = [json.loads(event.value or b"")["payment_id"] for event in events]

    assert len(set(ids)) == 2_000
    assert (len(ids) > 2_000) == (stream.name == "duplicated")
    assert (len(exact(partitions)) < 2_000) == (stream.name == "late")


def results(wrong: int) -> dict[str, object]:
    """Return what a run keeps, as far as tables read it."""
    found = asdict(judged({(0, 0): [(1, 2.0, 2.0)]}, {(0, 0): (1, 2.0, 2.0)})) | {"wrong": wrong}
    readings = {reading: found for _, reading in tables.NAMES}
    drivers = {driver.name: {"records": 1, "kills": 0, "readings": readings} for driver in DRIVERS}
    return {"streams": {"in order": {"drivers": drivers}}}


def test_a_table_says_what_is_wrong() -> None:
    """Every driver and reading has a line, with how many rows are wrong and which part of all."""
    text = tables.tables(results(1))

    assert text.count("1 (100.0%)") == len(tables.NAMES) == text.count("\n") - 1
    assert "100.0%" not in tables.tables(results(0))


def test_the_tables_take_their_place() -> None:
    """The text around stays, writing twice changes nothing, a page without the place is refused."""
    once = tables.placed(f"a\n{tables.BEGIN}\nold\n{tables.END}\nb\n", results(0))

    assert tables.placed(once, results(0)) == once
    assert (once.startswith("a\n"), once.endswith("\nb\n"), "old" in once) == (True, True, False)
    with pytest.raises(ValueError, match="no place"):
        tables.placed("nothing", results(0))


def test_the_page_says_what_was_found() -> None:
    """docs/correctness.md holds the tables of the results that are kept, of every stream and driver."""
    page, found = command.PAGE.read_text(), json.loads(command.RESULTS.read_text())

    assert tables.placed(page, found) == page
    assert list(found["streams"]) == [stream.name for stream in STREAMS]
    assert {frozenset(of["drivers"]) for of in found["streams"].values()} == {frozenset(d.name for d in DRIVERS)}
