"""The files of an artifact."""

import io

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from millrace_trainer.core.dataset import Dataset, Matrix


def gate_parquet(dataset: Dataset, part: slice, *, names: tuple[str, ...], scores: NDArray[np.float64]) -> bytes:
    """Return gate.parquet: the gate rows with their labels and native scores, so that no service reads our tables."""
    columns = {name: pa.array(dataset.x[part, place]) for place, name in enumerate(names)}
    columns["__label"] = pa.array(dataset.y[part])
    columns["__entity"] = pa.array(dataset.entity_ids[part], pa.string())
    columns["__event_id"] = pa.array(dataset.event_ids[part], pa.string())
    columns["__time_us"] = pa.array(dataset.times_us[part])
    columns["__score"] = pa.array(scores[part].astype(np.float32))
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def golden_json(
    names: tuple[str, ...], rows: Matrix, labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> bytes:
    """Return golden.json: inputs (null is missing) and what the model answers, to within `tolerance`."""
    inputs = [[None if np.isnan(value) else float(value) for value in row] for row in rows]
    return msgspec.json.encode(
        {
            "columns": names,
            "inputs": inputs,
            "label": labels.tolist(),
            "probabilities": [[float(value) for value in row] for row in probabilities],
            "tolerance": 1e-5,
        }
    )
