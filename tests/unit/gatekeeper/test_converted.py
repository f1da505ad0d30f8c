"""What the converters really write passes the structural gates."""

import lightgbm
import numpy as np
import pytest
import skl2onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmFloats
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from millrace_gatekeeper.adapters import onnx_graphs, onnx_scores
from millrace_gatekeeper.core.structure import OPERATORS, OPSETS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2)).astype(np.float32)
X[::7, 1] = np.nan
Y = (X[:, 0] > 0).astype(int)


def trees() -> bytes:
    """Return a LightGBM model as the trainer converts it."""
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, Y), 5)
    proto = convert_lightgbm(booster, "trees", [("features", LightGbmFloats([None, 2]))], target_opset=15, zipmap=False)
    return bytes(proto.SerializeToString())


def logistic() -> bytes:
    """Return a logistic baseline as the trainer converts it."""
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(X, Y)
    types = [("features", FloatTensorType([None, 2]))]
    proto = skl2onnx.to_onnx(pipeline, initial_types=types, options={"zipmap": False}, target_opset=15)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize("convert", [trees, logistic])
def test_converted_models_use_only_operators_on_the_list(convert: object) -> None:
    """The list is of use only if what we convert stays inside it."""
    model: bytes = convert()  # type: ignore[operator]  # a function of this module

    graph = onnx_graphs.inspect(model)

    assert graph.operators <= OPERATORS
    assert all(version in OPSETS[domain] for domain, version in graph.opsets.items())
    assert [(put.name, put.dtype, put.shape) for put in graph.inputs] == [("features", "float32", (None, 2))]
    assert {"label", "probabilities"} == {put.name for put in graph.outputs}
    assert onnx_scores.score(model, X).shape == (300,)
