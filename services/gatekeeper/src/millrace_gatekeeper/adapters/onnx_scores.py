"""ONNX Runtime: the scores that a model file gives rows, as serving will give them."""

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from millrace_common.errors import Refused
from millrace_gatekeeper.core.evidence import Floats, Matrix

ERRORS_ONLY = 3
FAILURES = (
    failures.EPFail,
    failures.EngineError,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


def score(model: bytes, features: Matrix) -> Floats:
    """Return the probability of the positive class for each row; raises Refused (`model-fails`)."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"features": np.ascontiguousarray(features)})
    except (*FAILURES, ValueError) as error:
        raise Refused("model-fails", str(error)[:500], field="model.onnx") from error
    found = np.asarray(probabilities, np.float64)
    if found.shape != (len(features), 2):
        raise Refused("model-fails", f"probabilities has shape {found.shape}", field="model.onnx")
    if not np.isfinite(found).all():
        raise Refused("model-fails", "a probability is not finite", field="model.onnx")
    return found[:, 1]
