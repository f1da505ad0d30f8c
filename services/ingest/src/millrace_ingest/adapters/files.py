"""pyarrow: the rows of CSV, JSON lines and Parquet files, in bounded batches, with their columns' types."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from millrace.spec import Scalar
from millrace_common.errors import Misconfigured

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


def rows(path: Path) -> Iterator[dict[str, Scalar]]:
    """Return the file's rows in order; a time is an integer, microseconds since 1970 UTC.

    Raises Misconfigured where the file cannot be read, or holds what is no scalar.
    """
    try:
        for batch in _batches(path):
            columns = {name: _scalars(batch.column(name), name, path) for name in batch.schema.names}
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
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


def _scalars(column: pa.Array, name: str, path: Path) -> list[Scalar]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _scalars(column.dictionary_decode(), name, path)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        whole = column.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False)
        column = whole.cast(pa.int64())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not _is_scalar(kind):
        raise Misconfigured(f"{path}: column {name} is {kind}; text, numbers, truth values and times can be replayed")
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    values: list[Scalar] = column.to_pylist()
    return values


def _is_scalar(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(text or number or pa.types.is_boolean(kind) or pa.types.is_null(kind))
