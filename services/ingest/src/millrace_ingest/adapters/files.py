"""pyarrow: the rows of CSV, JSON lines and Parquet files, in bounded batches, with their columns' types."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from millrace_common.errors import Misconfigured
from millrace_engine.cells import Cell

BATCH_ROWS = 8_192
BLOCK_BYTES = 8 << 20
"""The types of a CSV or JSON file are told by its first block."""

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def rows(path: Path) -> Iterator[dict[str, Cell]]:
    """Return the file's rows in order, with the types of their columns; a time without a zone is UTC.

    Raises Misconfigured where the file cannot be read, or a column holds what is no scalar.
    """
    try:
        for batch in _batches(path):
            columns = [_cells(batch.column(place), name, path) for place, name in enumerate(batch.schema.names)]
            for cells in zip(*columns, strict=True):
                yield dict(zip(batch.schema.names, cells, strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def about_rows(path: Path) -> int:
    """Return how many rows the file has: exactly for Parquet, else as many as it has lines."""
    try:
        if SUFFIXES.get(path.suffix.lower()) == "parquet":
            with pq.ParquetFile(path) as file:
                return int(file.metadata.num_rows)
        with path.open("rb") as lines:
            return sum(block.count(b"\n") for block in iter(lambda: lines.read(BLOCK_BYTES), b""))
    except (pa.ArrowException, OSError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    kind = SUFFIXES.get(path.suffix.lower())
    match kind:
        case "csv":
            read = pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES)
            parse = pyarrow.csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            with pyarrow.csv.open_csv(path, read_options=read, parse_options=parse) as reader:
                yield from _cut(reader)
        case "json":
            with pyarrow.json.open_json(path, read_options=pyarrow.json.ReadOptions(block_size=BLOCK_BYTES)) as reader:
                yield from _cut(reader)
        case "parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(BATCH_ROWS)
        case _:
            known = ", ".join(sorted(SUFFIXES))
            raise Misconfigured(f"{path}: its name must say what it holds: one of {known}")


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for first in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(first, BATCH_ROWS)


def _cells(column: pa.Array, name: str, path: Path) -> list[Cell]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", "UTC"), safe=False)
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif not _is_scalar(column.type):
        kinds = "text, numbers, truth values and times can be replayed"
        raise Misconfigured(f"{path}: column {name} is {column.type}; {kinds}")
    cells: list[Cell] = column.to_pylist()
    return cells


def _is_scalar(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(text or number or pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_null(kind))
