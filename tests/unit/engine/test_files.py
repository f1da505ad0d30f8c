"""File sources: rows in, events out in the order of their time, and what is said about a bad row."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.deployments import deployment

from millrace.refusals import Refused
from millrace.spec import (
    Column,
    Const,
    EventSpec,
    FieldSpec,
    FileEventSpec,
    FileExpr,
    FileOp,
    FileSourceSpec,
    Scalar,
)
from millrace_engine.cells import COERCE, Cell, calculated, compared, rfc3339, time_us
from millrace_engine.events import compile_events
from millrace_engine.files import FileEvent, compile_file, events_of

HALF_HOUR_US = 1_800_000_000
START_US = int(datetime(1996, 5, 7, tzinfo=UTC).timestamp()) * 1_000_000
ROW = EventSpec(
    type="market_row",
    class_name="MarketRow",
    version=1,
    fields=(
        FieldSpec("row", "int", role="id"),
        FieldSpec("market", "str", role="entity"),
        FieldSpec("price", "float"),
        FieldSpec("note", "str", optional=True),
        FieldSpec("ts", "datetime", role="time"),
    ),
    id_field="row",
    entity_fields=("market",),
    time_field="ts",
)
OUTCOME = EventSpec(
    type="outcome",
    class_name="Outcome",
    version=1,
    fields=(
        FieldSpec("row", "int", role="refers"),
        FieldSpec("up", "bool"),
        FieldSpec("at", "datetime", role="time"),
    ),
    id_field=None,
    entity_fields=(),
    time_field="at",
    refers_field="row",
    refers_to="market_row",
)
DEPLOYMENT = deployment(ROW, OUTCOME)
NUMBER = Column("row_number")
TIME: FileExpr = FileOp("add", (Const(START_US), FileOp("mul", (Const(HALF_HOUR_US), NUMBER))))
ROWS: list[dict[str, Cell]] = [
    {"nswprice": 0.056, "note": None, "class": 1},
    {"nswprice": 0.051, "note": "low", "class": 0},
    {"nswprice": 1, "note": None, "class": 1},
]


def source(*, time: FileExpr = TIME, delay_us: int = HALF_HOUR_US, **fields: FileExpr) -> FileSourceSpec:
    """Return a source of rows and, `delay_us` later, their outcomes."""
    row: dict[str, FileExpr] = {
        "row": NUMBER,
        "market": Const("nsw"),
        "price": Column("nswprice"),
        "note": Column("note"),
        "ts": time,
    }
    outcome: dict[str, FileExpr] = {"row": NUMBER, "up": FileOp("eq", (Column("class"), Const(1))), "at": time}
    return FileSourceSpec(
        (FileEventSpec("market_row", row | fields), FileEventSpec("outcome", outcome, delay_us=delay_us))
    )


def events(spec: FileSourceSpec, rows: list[dict[str, Cell]] = ROWS) -> list[FileEvent]:
    """Return all events of some rows."""
    return list(events_of(spec, DEPLOYMENT, rows))


def test_rows_become_events_in_the_order_of_time() -> None:
    """An outcome of `delay` comes after its row and, at one time, before the next row."""
    found = events(source())
    assert [(event.type, event.key, event.at_us - START_US) for event in found] == [
        ("market_row", "nsw", 0),
        ("outcome", "0", HALF_HOUR_US),
        ("market_row", "nsw", HALF_HOUR_US),
        ("outcome", "1", 2 * HALF_HOUR_US),
        ("market_row", "nsw", 2 * HALF_HOUR_US),
        ("outcome", "2", 3 * HALF_HOUR_US),
    ]
    assert found[0].value == {"row": 0, "market": "nsw", "price": 0.056, "ts": "1996-05-07T00:00:00Z"}
    assert found[1].value == {"row": 0, "up": True, "at": "1996-05-07T00:30:00Z"}
    assert found[2].value["note"] == "low"


def test_every_event_of_a_file_keeps_its_contract() -> None:
    """What a file source writes passes the contract check, with the key and time it said."""
    checks = compile_events(DEPLOYMENT)
    for event in events(source()):
        checked = checks.check(json.dumps(event.value).encode(), ce_type=event.type)
        assert (checked.entity_id, checked.time_us) == (event.key, event.at_us)


def test_rows_are_taken_as_they_are_needed() -> None:
    """Rows are read lazily: an endless file gives its first events, and no more waits than the delay holds."""
    read = count()

    def endless() -> Iterator[dict[str, Cell]]:
        while True:
            yield {**ROWS[0], "n": next(read)}

    found = events_of(source(delay_us=10 * HALF_HOUR_US), DEPLOYMENT, endless())
    assert [next(found).type for _ in range(30)].count("outcome") == 10
    assert next(read) < 25


@given(
    st.lists(st.integers(0, 50).map(lambda step: step * 60_000_000), min_size=1, max_size=30),
    st.integers(0, 100).map(lambda delay: delay * 60_000_000),
)
def test_the_order_is_that_of_a_slow_sort(steps: list[int], delay_us: int) -> None:
    """Events come by (time, row, declared place), whatever the distances of rows and the delay."""
    times = [START_US + sum(steps[: n + 1]) for n in range(len(steps))]
    rows: list[dict[str, Cell]] = [{**ROWS[0], "t": time} for time in times]
    found = events(source(time=Column("t"), delay_us=delay_us), rows)
    slow = [(time, n, 0) for n, time in enumerate(times)] + [(time + delay_us, n, 1) for n, time in enumerate(times)]
    places = {"market_row": 0, "outcome": 1}
    assert [(one.at_us, one.value["row"], places[one.type]) for one in found] == sorted(slow)


def test_where_leaves_rows_out() -> None:
    """Rows for which `where` does not hold, or is missing, give no such event."""
    spec = source()
    only_ups = replace(spec.events[1], where=FileOp("eq", (Column("class"), Const(1))))
    rows = [*ROWS, {**ROWS[0], "class": None}]
    spec = FileSourceSpec((spec.events[0], only_ups))
    assert [event.key for event in events(spec, rows) if event.type == "outcome"] == ["0", "2"]


@pytest.mark.parametrize(
    ("change", "field", "what"),
    [
        ({"nswprice": "cheap"}, "price", "row 1: `cheap` is no number"),
        ({"nswprice": None}, "price", "row 1: the cell is empty"),
        ({"nswprice": ""}, "price", "row 1: the cell is empty"),
        ({"nswprice": float("nan")}, "price", "row 1: the cell is empty"),
        ({"class": "UP"}, "up", "row 1: `UP` is no number"),
        ({"class": None}, "up", "row 1: the cell is empty"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Cell], field: str, what: str) -> None:
    """A cell that fits no field is refused with the row, the field and what it holds."""
    with pytest.raises(Refused) as caught:
        events(source(), [ROWS[0], {**ROWS[1], **change}])
    assert (caught.value.reason, caught.value.field) == ("bad-row", field)
    assert caught.value.detail.startswith(what)


def test_a_missing_column_is_named_with_those_there_are() -> None:
    """A column that the file does not have is refused, and the text lists the columns."""
    with pytest.raises(Refused, match="no column `cost`; it has nswprice, note, class"):
        events(source(price=Column("cost")))


def test_an_unsorted_file_is_refused() -> None:
    """A row of an earlier time than the one before is refused: the order of time cannot be told lazily."""
    rows: list[dict[str, Cell]] = [{**ROWS[0], "t": "2024-05-02"}, {**ROWS[0], "t": "2024-05-01"}]
    with pytest.raises(Refused, match="not-sorted: ts: row 1 is of 2024-05-01"):
        events(source(time=Column("t")), rows)


def test_an_event_before_its_row_is_refused() -> None:
    """A later event of a row cannot happen before the row's first one."""
    spec = source()
    early = replace(spec.events[1], fields={**spec.events[1].fields, "at": Const(START_US - 1)})
    with pytest.raises(Refused, match="outcome happens before its row"):
        events(FileSourceSpec((spec.events[0], early)))


@pytest.mark.parametrize("number", [1_700_000_000, 1_700_000_000_000, 1.7e9, 0])
def test_a_bare_number_that_can_only_be_seconds_is_refused(number: float) -> None:
    """A column of seconds or milliseconds without its unit is refused, and the text says how to give it one."""
    with pytest.raises(Refused, match=r"write column\(\.\.\.\) \* seconds, or \* milliseconds"):
        events(source(time=Column("t")), [{**ROWS[0], "t": number}])


def test_a_column_with_its_unit_is_a_time() -> None:
    """Seconds since 1970 times the unit are a time, a fraction kept to the microsecond."""
    unit = FileOp("mul", (Column("t"), Const(1_000_000)))
    (first, _) = events(source(time=unit), [{**ROWS[0], "t": 1_700_000_000.25}])
    assert first.value["ts"] == "2023-11-14T22:13:20.250000Z"


NOON_US = 1_714_564_800_000_000


@pytest.mark.parametrize(
    "cell",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00",
        "2024-05-01T14:00:00+02:00",
        datetime(2024, 5, 1, 12),  # noqa: DTZ001  # a file's time without a zone
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        NOON_US,
        float(NOON_US),
    ],
)
def test_times_of_files(cell: Cell) -> None:
    """A time is text, a datetime or microseconds; without a zone it is UTC."""
    assert time_us(cell) == NOON_US
    assert time_us(date(2024, 5, 1)) == NOON_US - 12 * 3_600_000_000


@pytest.mark.parametrize("cell", [None, True, "noon", "", 10**20, -(10**20)])
def test_what_is_no_time_is_refused(cell: Cell) -> None:
    """Nothing, a bool, other text and numbers without a date are no time."""
    with pytest.raises(ValueError, match=r"time|years"):
        time_us(cell)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_a_time_written_is_the_time_read(us: int) -> None:
    """RFC 3339 text keeps every microsecond of the years 1 to 9999."""
    assert time_us(rfc3339(us)) == us


@pytest.mark.parametrize(
    ("dtype", "cell", "value"),
    [
        ("str", 5, "5"),
        ("str", 5.0, "5"),
        ("str", 0.1, "0.1"),
        ("str", True, "true"),
        ("str", None, None),
        ("int", "7", 7),
        ("int", 7.0, 7),
        ("int", True, 1),
        ("int", "", None),
        ("float", "1e3", 1000.0),
        ("float", 3, 3.0),
        ("float", "nan", None),
        ("bool", "TRUE", True),
        ("bool", 0, False),
        ("bool", 1.0, True),
        ("bool", "", None),
        ("bool", " NA ", None),
        ("datetime", "2024-05-01", "2024-05-01T00:00:00Z"),
    ],
)
def test_a_cell_fits_a_field(dtype: str, cell: Cell, value: Scalar) -> None:
    """Cells of a file are taken for what the field asks, where nothing is lost."""
    found = COERCE[dtype](cell)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("dtype", "cell"), [("int", 7.5), ("int", "x"), ("float", "x"), ("bool", 2), ("bool", "maybe")]
)
def test_a_cell_that_does_not_fit_is_refused(dtype: str, cell: Cell) -> None:
    """A cell that would lose something is refused."""
    with pytest.raises(ValueError, match=r"number|true"):
        COERCE[dtype](cell)


def test_arithmetic_and_comparison_of_cells() -> None:
    """Integers stay exact, texts of numbers are numbers, missing stays missing, and text is compared with text only."""
    assert calculated("add", START_US, 1) == START_US + 1
    assert calculated("mul", "3", 2) == 6
    assert calculated("sub", 1, None) is None
    assert calculated("div", 1, 0) is None
    assert compared("eq", "UP", "UP") is True
    assert compared("ge", "2", 2) is True
    assert compared("eq", None, "UP") is None
    assert compile_file(FileOp("lt", (NUMBER, Const(2))))({}, 1) is True
    with pytest.raises(ValueError, match="`UP` is no number"):
        compared("eq", "UP", 1)
