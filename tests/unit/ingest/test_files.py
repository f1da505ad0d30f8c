"""Rows of files, and when their events are due."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.errors import Misconfigured
from millrace_ingest.adapters import files
from millrace_ingest.core.pacing import Pace, shift_us

ROWS = [{"id": 1, "name": "a", "price": 0.5, "up": True}, {"id": 2, "name": "b,c", "price": None, "up": False}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'id,name,price,up\n1,a,0.5,true\n2,"b,c",,false\n'),
        ("x.tsv", "id\tname\tprice\tup\n1\ta\t0.5\ttrue\n2\tb,c\t\tfalse\n"),
        ("x.jsonl", '{"id":1,"name":"a","price":0.5,"up":true}\n{"id":2,"name":"b,c","price":null,"up":false}\n'),
    ],
)
def test_rows_keep_the_types_of_their_columns(tmp_path: Path, name: str, content: str) -> None:
    """Numbers stay numbers, truth values stay truth values, an empty cell is missing."""
    path = tmp_path / name
    path.write_text(content)

    assert list(files.rows(path)) == ROWS


def test_parquet_keeps_every_scalar_type(tmp_path: Path) -> None:
    """Times come as times in UTC, also those without a zone; decimals as floats, codes as what they stand for."""
    path = tmp_path / "x.parquet"
    at = datetime(2024, 5, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array([2**60], pa.int64()),
            "zoned": pa.array([at], pa.timestamp("ms", "Europe/Berlin")),
            "bare": pa.array([at.replace(tzinfo=None)], pa.timestamp("ns")),
            "day": pa.array([date(2024, 5, 1)]),
            "price": pa.array([Decimal("1.25")]),
            "kind": pa.array(["x"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)

    assert list(files.rows(path)) == [
        {"id": 2**60, "zoned": at, "bare": at, "day": date(2024, 5, 1), "price": 1.25, "kind": "x"}
    ]
    assert files.about_rows(path) == 1


def test_many_rows_come_in_bounded_batches_in_order(tmp_path: Path) -> None:
    """Every row once, in the file's order, over several batches."""
    path = tmp_path / "x.csv"
    path.write_text("id\n" + "".join(f"{number}\n" for number in range(3 * files.BATCH_ROWS + 5)))

    assert [row["id"] for row in files.rows(path)] == list(range(3 * files.BATCH_ROWS + 5))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "a,b\n1,2\n3\n", "x.csv"),
        ("x.parquet", "no parquet", "x.parquet"),
        ("x.jsonl", '{"a": [1]}\n', "column a is list"),
        ("x.xlsx", "", "one of .csv"),
        ("x.jsonl", "no json\n", "x.jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path: Path, name: str, content: str, said: str) -> None:
    """Misconfigured, with what is wrong."""
    path = tmp_path / name
    path.write_text(content)

    with pytest.raises(Misconfigured, match=said):
        list(files.rows(path))


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=30).map(sorted),
    st.one_of(
        st.just(Pace()),
        st.floats(0.01, 1e6).map(lambda speed: Pace(speed=speed)),
        st.floats(0.01, 1e6).map(lambda rate: Pace(rate=rate)),
    ),
)
def test_a_shifted_event_never_lies_after_it_is_sent(times: list[int], pace: Pace) -> None:
    """At any pace, and one event at least is of the very time at which it is sent, to a millisecond."""
    now_us = 10**15
    shift = shift_us(pace, times, now_us=now_us)

    ahead = [at + shift - (now_us + pace.due_us(index, at, first_us=times[0])) for index, at in enumerate(times)]

    assert max(ahead) <= 0
    assert max(ahead) > -1_000
    assert shift % 1_000 == 0


def test_no_event_is_shifted_by_nothing() -> None:
    """An empty file has no first event."""
    assert shift_us(Pace(), [], now_us=5) == 0
