"""What the trainer writes, serving loads and answers alike."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.fakes.trainer import history
from tests.unit.trainer.test_job import done, files_of, work_of

from millrace.spec import EstimatorSpec
from millrace_serving.adapters.onnx import load


@pytest.mark.parametrize("estimator", ["lightgbm", "logistic"])
async def test_a_trained_artifact_answers_its_gate_rows_as_the_trainer_did(estimator: str, tmp_path: Path) -> None:
    """Golden rows hold, and the native scores of the gate rows come back within float32."""
    work = await work_of(history(300), tmp_path.as_uri(), estimator=EstimatorSpec(estimator))
    files = files_of(done(work), tmp_path.as_uri())
    gate = pq.read_table(io.BytesIO(files["gate.parquet"]))
    columns = [name for name in gate.column_names if not name.startswith("__")]
    rows = np.column_stack([gate[name].to_numpy() for name in columns]).astype(np.float32)

    loaded = load(files, columns)

    assert loaded.score(rows) == pytest.approx(gate["__score"].to_numpy(), abs=1e-5)
    assert loaded.threshold is not None
