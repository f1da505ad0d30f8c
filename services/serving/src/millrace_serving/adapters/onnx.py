"""ONNX Runtime: an artifact's files to a model in memory, checked before it may answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from millrace_common.errors import Refused
from millrace_common.profiles import Profile
from millrace_serving.core.slots import Loaded, Matrix, Score, ScoringFailed

INPUT, PROBABILITIES = "features", "probabilities"
T = TypeVar("T")
GOLDEN_TOLERANCE_MAX = 1e-4
_WARM_RUNS = 3
_FAILURES = (
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


class Golden(msgspec.Struct, frozen=True):
    """Rows with the answers that the trainer saw. Missing is null."""

    columns: list[str]
    inputs: list[list[float | None]]
    probabilities: list[tuple[float, float]]
    tolerance: float


@dataclass(frozen=True, slots=True)
class OnnxScore:
    """A model whose input is `features` [n, k] and whose score is the second column of `probabilities`."""

    session: ort.InferenceSession

    def __call__(self, matrix: Matrix) -> Matrix:
        """Return one score for each row; raises ScoringFailed."""
        try:
            probabilities: Matrix = self.session.run([PROBABILITIES], {INPUT: matrix})[0]
        except _FAILURES as error:
            raise ScoringFailed(str(error)) from error
        return probabilities[:, 1]


@dataclass(frozen=True, slots=True)
class OnnxLoader:
    """Loads artifacts, beside the loop where `in_thread`, so that requests are answered meanwhile."""

    in_thread: bool

    async def load(self, files: Mapping[str, bytes], columns: Sequence[str]) -> Loaded:
        """Return the model of an artifact with these inputs; raises Refused (`artifact-...`)."""
        if self.in_thread:
            return await asyncio.to_thread(load, files, columns)
        return load(files, columns)


def load(files: Mapping[str, bytes], columns: Sequence[str]) -> Loaded:
    """Return the model of an artifact with these inputs, once it gave its golden scores; raises Refused."""
    width = len(columns)
    golden = _decoded(files, "golden.json", Golden)
    profile = _decoded(files, "profile.json", Profile)
    if [column.name for column in profile.columns] != list(columns):
        raise Refused("artifact-signature", f"its columns are not {', '.join(columns)}", field="profile.json")
    score = OnnxScore(_session(_file(files, "model.onnx"), width))
    _check_golden(score, golden, columns)
    warm = np.zeros((1, width), np.float32)
    for _ in range(_WARM_RUNS):
        score(warm)
    return Loaded(score, profile.threshold)


def _session(model: bytes, width: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise Refused("artifact-unreadable", str(error), field="model.onnx") from error
    inputs = {put.name: put for put in session.get_inputs()}
    outputs = [output.name for output in session.get_outputs()]
    if list(inputs) != [INPUT] or PROBABILITIES not in outputs:
        detail = f"inputs {list(inputs)}, outputs {outputs}; expected {INPUT} and {PROBABILITIES}"
        raise Refused("artifact-signature", detail, field="model.onnx")
    found = inputs[INPUT]
    if found.type != "tensor(float)" or found.shape[-1] != width:
        detail = f"{INPUT} is {found.type} {found.shape}; the view has {width} float columns"
        raise Refused("artifact-signature", detail, field="model.onnx")
    return session


def _check_golden(score: Score, golden: Golden, columns: Sequence[str]) -> None:
    widths = {len(row) for row in golden.inputs}
    if golden.columns != list(columns) or widths != {len(columns)} or len(golden.inputs) != len(golden.probabilities):
        detail = f"expected rows of {', '.join(columns)} with an answer each"
        raise Refused("artifact-golden", detail, field="golden.json")
    rows = [[np.nan if value is None else value for value in row] for row in golden.inputs]
    try:
        found = score(np.array(rows, np.float32))
    except ScoringFailed as error:
        raise Refused("artifact-golden", str(error), field="model.onnx") from error
    worst = float(np.max(np.abs(found - np.array([yes for _, yes in golden.probabilities]))))
    if not worst <= min(golden.tolerance, GOLDEN_TOLERANCE_MAX):
        raise Refused("artifact-golden", f"a golden score is off by {worst:g}", field="model.onnx")


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise Refused("artifact-incomplete", "the artifact has no such file", field=name)
    return files[name]


def _decoded(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_file(files, name), type=kind)
    except msgspec.DecodeError as error:
        raise Refused("artifact-unreadable", str(error), field=name) from error
