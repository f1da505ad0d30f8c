"""pyarrow: the gate rows in an artifact."""

from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from millrace_common.errors import Refused
from millrace_gatekeeper.core.evidence import GateRows

T = TypeVar("T", np.float32, np.float64, np.int64)
FACTS = ("__label", "__entity", "__event_id", "__time_us", "__score")


def read(data: bytes) -> GateRows:
    """Return the rows of gate.parquet; raises Refused (`gate-unreadable`) naming what is wrong."""
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise Refused("gate-unreadable", str(error)[:500], field="gate.parquet") from error
    missing = [name for name in FACTS if name not in table.column_names]
    if missing or table.num_rows == 0:
        what = f"no column {', '.join(missing)}" if missing else "no rows"
        raise Refused("gate-unreadable", what, field="gate.parquet")
    columns = tuple(name for name in table.column_names if name not in FACTS)
    try:
        return GateRows(
            columns=columns,
            features=np.column_stack([_values(table, name, np.float32) for name in columns]),
            labels=_values(table, "__label", np.float64) > 0.5,
            entities=np.asarray(table["__entity"].to_pylist(), dtype=np.str_),
            times_us=_values(table, "__time_us", np.int64),
            scores=_values(table, "__score", np.float64),
        )
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise Refused("gate-unreadable", str(error)[:500], field="gate.parquet") from error


def _values(table: pa.Table, name: str, dtype: type[T]) -> NDArray[T]:
    return np.asarray(table[name].to_numpy()).astype(dtype)
