"""The Open Inference Protocol's tensors: a request's to one matrix, scores to a response's. JSON only."""

from collections.abc import Callable, Sequence
from math import prod

import msgspec
import numpy as np

from millrace_common.errors import Refused
from millrace_engine.values import FLOAT32_MAX
from millrace_serving.core.slots import Active, Matrix

FEATURES = "features"
ROWS_MAX = 1_000
Number = float | bool | str | None
Data = list[Number | list[Number]]
_INTEGERS = {f"{sign}INT{bits}": (sign, bits) for sign in ("", "U") for bits in (8, 16, 32, 64)}


class Tensor(msgspec.Struct, frozen=True):
    """An input as it was sent; `data` nested or flat, row-major."""

    name: str
    shape: list[int]
    datatype: str
    data: Data | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, msgspec.Raw] = {}


class WantedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str


class InferRequest(msgspec.Struct, frozen=True):
    """A request; unknown fields are ignored, as clients send some."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[WantedOutput] = []


class OutputTensor(msgspec.Struct, frozen=True):
    """An output."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: Sequence[float | bool | str | None]


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """A response; `id` only where one was sent."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | None = None


OUTPUTS = (("score", "FP32"), ("decision", "BOOL"), ("prediction_id", "BYTES"))


def matrix_of(request: InferRequest, columns: Sequence[str]) -> Matrix:
    """Return the request's rows as float32 [n, k]; raises Refused naming the place.

    Either one tensor `features` [n, k], or k tensors named for the columns, each [n] or [n, 1].
    """
    names = [tensor.name for tensor in request.inputs]
    if names == [FEATURES]:
        return _whole(request.inputs[0], len(columns))
    unknown = [name for name in names if name not in columns]
    missing = [name for name in columns if name not in names]
    if unknown or missing or len(names) != len(columns):
        what = f"unknown {unknown[:5]}" if unknown else f"missing {missing[:5]}" if missing else "a column twice"
        raise Refused(
            "bad-inputs", f"send `{FEATURES}` [n,{len(columns)}] or one tensor a column: {what}", field="inputs"
        )
    by_name = {tensor.name: _column(tensor) for tensor in request.inputs}
    if len({len(values) for values in by_name.values()}) != 1:
        raise Refused("bad-shape", "all columns must have the same number of rows", field="inputs")
    return np.column_stack([by_name[name] for name in columns])


def _whole(tensor: Tensor, width: int) -> Matrix:
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise Refused("bad-shape", f"{tensor.shape} is not [n,{width}]", field=f"inputs.{tensor.name}.shape")
    return _values(tensor).reshape(tensor.shape[0], width)


def _column(tensor: Tensor) -> Matrix:
    if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]):
        raise Refused("bad-shape", f"{tensor.shape} is not [n] or [n,1]", field=f"inputs.{tensor.name}.shape")
    return _values(tensor)


def _values(tensor: Tensor) -> Matrix:
    place = f"inputs.{tensor.name}"
    if tensor.data is msgspec.UNSET or "binary_data_size" in tensor.parameters:
        raise Refused("binary", "binary tensors are not served: send JSON (binary_data=False)", field=place)
    if not 1 <= tensor.shape[0] <= ROWS_MAX:
        raise Refused("bad-shape", f"1 to {ROWS_MAX} rows, not {tensor.shape[0]}", field=f"{place}.shape")
    flat = _flat(tensor.data, tensor.shape, place)
    if len(flat) != prod(tensor.shape):
        detail = f"shape {tensor.shape} needs {prod(tensor.shape)} values, data has {len(flat)}"
        raise Refused("bad-shape", detail, field=f"{place}.data")
    fits = _check_of(tensor.datatype, f"{place}.datatype")
    for value in flat:
        if not fits(value):
            raise Refused("wrong-type", f"{value!r} is not {tensor.datatype}", field=f"{place}.data")
    return np.array([np.nan if value is None else value for value in flat], np.float32)


def _flat(data: Data, shape: list[int], place: str) -> list[Number]:
    flat: list[Number] = []
    for row in data:
        if not isinstance(row, list):
            flat.append(row)
        elif len(shape) == 2 and len(row) == shape[1]:
            flat.extend(row)
        else:
            raise Refused("bad-shape", f"a nested row of {len(row)} does not fit shape {shape}", field=f"{place}.data")
    return flat


def _check_of(datatype: str, place: str) -> Callable[[Number], bool]:
    if datatype in ("FP32", "FP64"):
        return _is_float
    if datatype == "BOOL":
        return lambda value: isinstance(value, bool)
    if datatype in _INTEGERS:
        sign, bits = _INTEGERS[datatype]
        low, high = (0, 2**bits) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return lambda value: isinstance(value, float) and value.is_integer() and low <= value < high
    raise Refused("bad-datatype", f"{datatype} is not taken in JSON; send FP32", field=place)


def _is_float(value: Number) -> bool:
    return value is None or (isinstance(value, float) and abs(value) <= FLOAT32_MAX)


def response(
    request: InferRequest, active: Active, model: str, scores: Sequence[float], prediction_ids: Sequence[str]
) -> InferResponse:
    """Return the outputs asked for, all where none is named; raises Refused for one that does not exist."""
    threshold = active.loaded.threshold
    n = (len(scores),)
    made = {
        "score": OutputTensor("score", n, "FP32", scores),
        "decision": OutputTensor("decision", n, "BOOL", [threshold is not None and s >= threshold for s in scores]),
        "prediction_id": OutputTensor("prediction_id", n, "BYTES", prediction_ids),
    }
    return InferResponse(model, active.arm.version, [made[name] for name in output_names(request)], request.id)


def output_names(request: InferRequest) -> list[str]:
    """Return the names of the outputs asked for; raises Refused for one that does not exist."""
    known = [name for name, _ in OUTPUTS]
    for output in request.outputs:
        if output.name not in known:
            raise Refused("bad-outputs", f"no output {output.name!r}; known: {', '.join(known)}", field="outputs")
    return [output.name for output in request.outputs] or known
