"""ONNX: models converted to it, checked against the contract of serving, and run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from numpy.typing import NDArray
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmFloats
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)
from skl2onnx.common.data_types import FloatTensorType

from millrace_common.errors import Refused
from millrace_trainer.adapters.lightgbm_model import LightGbmModel
from millrace_trainer.adapters.logistic_model import LogisticModel
from millrace_trainer.core.dataset import Matrix

OPSET = 15
INPUT = "features"
NAME = "millrace"
BYTES_MAX = 256 << 20
_UNLOADABLE = (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
    onnx.checker.ValidationError,
)


def convert(model: LightGbmModel | LogisticModel, *, columns: int) -> bytes:
    """Return a model as model.onnx: input `features` [n, columns], outputs `label` [n], `probabilities` [n, 2]."""
    shape = [None, columns]
    if isinstance(model, LightGbmModel):
        inputs = [(INPUT, LightGbmFloats(shape))]
        proto = convert_lightgbm(model.booster, NAME, inputs, target_opset=OPSET, zipmap=False)
    else:
        proto = skl2onnx.to_onnx(
            model.pipeline,
            name=NAME,
            initial_types=[(INPUT, FloatTensorType(shape))],
            options={"zipmap": False},
            target_opset=OPSET,
        )
        for output, name in zip(proto.graph.output, ("label", "probabilities"), strict=True):
            assert output.name == name, output.name
    rows = proto.graph.output[0].type.tensor_type.shape
    del rows.dim[:]
    rows.dim.add()
    return bytes(proto.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A loaded model."""

    session: Any  # onnxruntime ships no types

    @classmethod
    def load(cls, data: bytes, *, columns: int) -> "OnnxModel":
        """Return the model in `data`; raises Refused (`onnx-unreadable`, `onnx-contract`) naming what does not fit."""
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            onnx.checker.check_model(onnx.load_model_from_string(data))
        except _UNLOADABLE as error:
            raise Refused("onnx-unreadable", str(error)[:500]) from error
        _check_inputs(session.get_inputs(), columns)
        outputs = {output.name: output.type for output in session.get_outputs()}
        for name, kind in (("label", "tensor(int64)"), ("probabilities", "tensor(float)")):
            if outputs.get(name) != kind:
                raise Refused("onnx-contract", f"output {name} must be {kind}; the model has {outputs}", field=name)
        return cls(session)

    def run(self, x: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the label of each row and its two probabilities; raises Refused (`onnx-contract`)."""
        try:
            label, probabilities = self.session.run(["label", "probabilities"], {INPUT: x})
        except (Fail, InvalidArgument, RuntimeException) as error:
            raise Refused("onnx-contract", f"the model does not run: {str(error)[:500]}") from error
        if probabilities.shape != (len(x), 2):
            raise Refused("onnx-contract", f"probabilities are {probabilities.shape}, not ({len(x)}, 2)")
        return np.asarray(label, np.int64), np.asarray(probabilities, np.float64)


def _check_inputs(inputs: Sequence[Any], columns: int) -> None:
    found = [(each.name, each.type, each.shape) for each in inputs]
    fits = len(found) == 1 and found[0][:2] == (INPUT, "tensor(float)") and len(found[0][2]) == 2
    if not fits or (isinstance(found[0][2][1], int) and found[0][2][1] != columns):
        wanted = f"one tensor(float) input `{INPUT}` [n, {columns}]"
        raise Refused("onnx-contract", f"the model must take {wanted}; it takes {found}", field=INPUT)
