"""pyarrow: what the columns of a CSV, JSON lines or Parquet file hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from millrace_common.errors import Misconfigured

Kind = Literal["number", "integer", "bool", "text", "time", "other"]
ROWS_MAX = 200_000
"""The rows that are looked at."""
VALUES_MAX = 3
ORDERED = ("integer", "number", "time")
FORMATS = {
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}


@dataclass(frozen=True, slots=True)
class Looked:
    """One column. `values` are its different values where there are at most three; times are in microseconds."""

    name: str
    kind: Kind
    missing: bool
    distinct: int
    values: tuple[object, ...]
    least: float | None
    most: float | None
    rises: bool
    """Whether no row's value is below the one before."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, of its first rows."""

    columns: tuple[Looked, ...]
    rows: int


def looked_at(path: Path) -> Table:
    """Return what the first rows of a file hold. Raises Misconfigured where it cannot be read."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise Misconfigured(f"{path}: its name must say what it holds: one of {', '.join(sorted(FORMATS))}")
    form = pa.dataset.CsvFileFormat(pa.csv.ParseOptions(delimiter="\t")) if path.suffix.lower() == ".tsv" else kind
    try:
        table = pa.dataset.dataset(path, format=form).head(ROWS_MAX)
    except (pa.ArrowException, OSError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    if not table.num_rows:
        raise Misconfigured(f"{path}: the file has no rows")
    columns = tuple(_column(name, table.column(name)) for name in table.column_names)
    return Table(columns, table.num_rows)


def _column(name: str, column: pa.ChunkedArray) -> Looked:
    kind = _kind(column.type)
    if kind == "other":
        return Looked(name, kind, missing=True, distinct=0, values=(), least=None, most=None, rises=False)
    present = column.drop_null()
    missing = len(present) < len(column) or (kind == "number" and bool(pc.any(pc.is_nan(present)).as_py()))
    distinct = pc.count_distinct(present).as_py()
    values = tuple(sorted(pc.unique(present).to_pylist())) if distinct <= VALUES_MAX else ()
    least, most = _range(present, kind)
    return Looked(name, kind, missing, distinct, values, least, most, rises=_rises(present, kind))


def _kind(of: pa.DataType) -> Kind:
    if pa.types.is_timestamp(of) or pa.types.is_date(of):
        return "time"
    if pa.types.is_boolean(of):
        return "bool"
    if pa.types.is_integer(of):
        return "integer"
    if pa.types.is_floating(of) or pa.types.is_decimal(of):
        return "number"
    return "text" if pa.types.is_string(of) or pa.types.is_large_string(of) else "other"


def _range(present: pa.ChunkedArray, kind: Kind) -> tuple[float | None, float | None]:
    if kind not in ORDERED or not len(present):
        return None, None
    numbers = present.cast(pa.timestamp("us")).cast(pa.int64()) if kind == "time" else present
    return float(pc.min(numbers).as_py()), float(pc.max(numbers).as_py())


def _rises(present: pa.ChunkedArray, kind: Kind) -> bool:
    if kind not in ORDERED or len(present) < 2:
        return kind in ORDERED
    return bool(pc.all(pc.less_equal(present.slice(0, len(present) - 1), present.slice(1))).as_py())
