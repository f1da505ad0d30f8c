"""Artifacts with real ONNX files whose scores can be computed by hand."""

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.fakes.serving.declared import COLUMNS, VIEW_HASH

from millrace_common.profiles import ColumnProfile, Histogram, Profile, ReferenceAccuracy
from millrace_common.profiles import encode as encode_profile


def model_bytes(bias: float, *, width: int = len(COLUMNS), name: str = "features") -> bytes:
    """Return an ONNX model: sigmoid(sum of the inputs that are present / 1000 + bias)."""
    weights = np.full((width, 1), 0.001, np.float32)
    nodes = [
        helper.make_node("IsNaN", [name], ["absent"]),
        helper.make_node("Where", ["absent", "zero", name], ["present"]),
        helper.make_node("Gemm", ["present", "weights", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {
        "zero": np.zeros(1, np.float32),
        "one": np.ones(1, np.float32),
        "weights": weights,
        "bias": np.full(1, bias, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


def score_of(bias: float, row: Sequence[float | None]) -> float:
    """Return what `model_bytes` scores a row, slowly."""
    total = bias + sum(value * 0.001 for value in row if value is not None)
    return float(1 / (1 + np.exp(-total)))


def profile(*, threshold: float = 0.5) -> Profile:
    """Return a profile with the view's columns."""
    columns = tuple(
        ColumnProfile(name=column.name, edges=(0.0, 1.0), counts=(0, 1, 0, 0), scale=1.0) for column in COLUMNS
    )
    return Profile(
        view_hash=VIEW_HASH,
        columns=columns,
        score=Histogram(edges=(0.0, 1.0), counts=(0, 1, 0, 0)),
        score_scale=1.0,
        reference_windows={},
        window_rows=100,
        accuracy=ReferenceAccuracy(value=0.9, low=0.8, high=1.0, n=100),
        threshold=threshold,
    )


GOLDEN_ROWS: tuple[tuple[float | None, ...], ...] = ((10.0, 0.0, 3.0, None, 2.0), (0.0, 1.0, 0.0, 7.0, 0.0))


def artifact(bias: float) -> dict[str, bytes]:
    """Return the files of a version that scores with this bias."""
    yes = [score_of(bias, row) for row in GOLDEN_ROWS]
    golden = {
        "columns": [column.name for column in COLUMNS],
        "inputs": GOLDEN_ROWS,
        "probabilities": [[1 - one, one] for one in yes],
        "tolerance": 1e-5,
    }
    return {
        "model.onnx": model_bytes(bias),
        "profile.json": encode_profile(profile()),
        "golden.json": json.dumps(golden).encode(),
    }
