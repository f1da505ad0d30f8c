"""The onnx library: what a model file says of itself, without running it."""

from collections.abc import Iterable

import onnx
from onnx import GraphProto, TensorProto, ValueInfoProto

from millrace_common.errors import Refused
from millrace_gatekeeper.core.evidence import Graph, Tensor


def inspect(model: bytes) -> Graph:
    """Return the graph's facts; raises Refused (`model-invalid`) where the checker refuses it."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise Refused("model-invalid", str(error)[:500] or type(error).__name__, field="model.onnx") from error
    proto = onnx.load_model_from_string(model)
    return Graph(
        opsets={entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        operators=frozenset(_operators(proto.graph)) | {f"function:{one.name}" for one in proto.functions},
        inputs=_tensors(proto.graph.input, {one.name for one in proto.graph.initializer}),
        outputs=_tensors(proto.graph.output, set()),
        external=tuple(one.name for one in proto.graph.initializer if one.data_location == TensorProto.EXTERNAL),
    )


def _operators(graph: GraphProto) -> Iterable[str]:
    """Return every operator as `domain:Name`; one that carries a graph of its own is named for that."""
    for node in graph.node:
        yield f"{node.domain or 'ai.onnx'}:{node.op_type}"
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            yield f"subgraph:{node.op_type}"


def _tensors(values: Iterable[ValueInfoProto], constants: set[str]) -> tuple[Tensor, ...]:
    return tuple(_tensor(value) for value in values if value.name not in constants)


def _tensor(value: ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    name = TensorProto.DataType.Name(kind.elem_type)
    dtype = "float32" if name == "FLOAT" else name.lower()
    shape = tuple(one.dim_value if one.HasField("dim_value") else None for one in kind.shape.dim)
    return Tensor(value.name, dtype, shape)
