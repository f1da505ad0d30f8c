"""The gates on what an artifact is: whole, known, and of the right shape. None of them looks at a score."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from millrace.spec import Scalar
from millrace_common.ids import sha256
from millrace_common.messages.promotion import Verdict
from millrace_gatekeeper.core.evidence import Case, Graph, Tensor, profile_of

FILES = ("README.md", "gate.parquet", "golden.json", "model.onnx", "profile.json", "record.json")
SPLITS = ("fit", "tune", "gate")
BYTES_MAX = 256 << 20
OPSETS = {"ai.onnx": range(9, 24), "ai.onnx.ml": range(1, 6)}
OPERATORS = frozenset(
    f"{domain}:{name}"
    for domain, names in {
        # Arithmetic without state, randomness, subgraphs, text or files.
        "ai.onnx": "Abs Add And ArgMax Cast Clip Concat Constant ConstantOfShape Div Equal Exp Expand Flatten Floor "
        "Gather GatherElements Gemm Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Log MatMul Max Mean "
        "Min Mul Neg Not Or Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Shape Sigmoid Sign "
        "Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where",
        "ai.onnx.ml": "ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier "
        "LinearRegressor Normalizer OneHotEncoder Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
    }.items()
    for name in names.split()
)


def integrity(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass an artifact that is whole and holds a graph of known operators and nothing else."""
    bytes_max = int(limits.get("bytes_max") or BYTES_MAX)
    return _verdict("integrity", [*case.problems, *_broken_files(case, bytes_max), *_foreign(case.graph)])


def lineage(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass a candidate that says what it learnt from, in terms that this deployment knows."""
    return _verdict("lineage", [*_unknown_view(case), *_missing_facts(case)])


def schema(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass a graph that takes the deployed view's columns and gives two probabilities."""
    return _verdict("schema", [*_wrong_tensors(case), *_wrong_columns(case)])


def _verdict(gate: str, faults: list[str]) -> Verdict:
    verdict: Literal["pass", "fail"] = "fail" if faults else "pass"
    return Verdict(gate=gate, verdict=verdict, blocking=True, why="; ".join(faults)[:2_000] or None)


def _broken_files(case: Case, bytes_max: int) -> Iterator[str]:
    for name in FILES:
        if name not in case.files:
            yield f"the artifact has no {name}"
    stated = case.candidate.artifact.files if case.candidate.artifact else {}
    for name, facts in stated.items():
        if name in case.files and sha256(case.files[name]) != facts.digest:
            yield f"{name} is not what the candidate states"
    size = sum(len(data) for data in case.files.values())
    if size > bytes_max:
        yield f"the artifact has {size} bytes; the limit is {bytes_max}"


def _foreign(graph: Graph | None) -> Iterator[str]:
    if graph is None:
        return
    for domain, version in sorted(graph.opsets.items()):
        if version not in OPSETS.get(domain, ()):
            yield f"opset {domain} {version} is not supported"
    for operator in sorted(graph.operators - OPERATORS):
        yield f"operator {operator} is not on the list"
    for tensor in graph.external:
        yield f"tensor {tensor} lies outside the file"


def _unknown_view(case: Case) -> Iterator[str]:
    learnt, deployed = case.candidate.view, case.model.view
    if learnt.hash != deployed.hash:
        yield f"view {learnt.name} {learnt.hash[:8]} is not the deployed one, {deployed.name} {deployed.hash[:8]}"
    elif dict(learnt.groups) != dict(deployed.groups):
        yield "the view's feature groups are not the deployed ones"


def _missing_facts(case: Case) -> Iterator[str]:
    candidate, data = case.candidate, case.candidate.data
    if data is None:
        yield "the candidate does not say what it learnt from"
    else:
        facts = {"dataset digest": data.dataset_digest, "offsets": any(data.offsets.values())}
        facts |= {f"split {name}": name in data.splits for name in SPLITS}
        yield from (f"no {name}" for name, is_there in facts.items() if not is_there)
    stated = {"record.json": candidate.record_digest, "profile.json": candidate.profile_digest}
    for name, digest in stated.items():
        if name in case.files and sha256(case.files[name]) != digest:
            yield f"{name} is not the one that the candidate names, {digest}"
    if not _is_object(case.files.get("record.json", b"")):
        yield "record.json is no JSON object"
    profile = profile_of(case.files)
    if profile is None or profile.view_hash != candidate.view.hash:
        yield "profile.json cannot be read" if profile is None else "profile.json is of another view"


def _is_object(data: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(data, type=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _wrong_tensors(case: Case) -> Iterator[str]:
    if case.graph is None:
        yield "the graph cannot be read"
        return
    width = len(case.model.view.columns)
    if [tensor.name for tensor in case.graph.inputs] != ["features"]:
        yield f"inputs are {_names(case.graph.inputs)}; expected features"
    elif not _takes(case.graph.inputs[0], width):
        yield f"features is {_text(case.graph.inputs[0])}; the view has {width} columns of float32"
    outputs = {tensor.name: tensor for tensor in case.graph.outputs}
    if not {"label", "probabilities"} <= set(outputs):
        yield f"outputs are {_names(case.graph.outputs)}; expected label and probabilities"
    elif not _takes(outputs["probabilities"], 2):
        yield f"probabilities is {_text(outputs['probabilities'])}; expected [n, 2] of float32"


def _takes(tensor: Tensor, width: int) -> bool:
    """Say whether a tensor is [n, width] of float32; outputs may leave the width open."""
    return tensor.dtype == "float32" and len(tensor.shape) == 2 and tensor.shape[1] in (width, None)


def _wrong_columns(case: Case) -> Iterator[str]:
    deployed = tuple(column.name for column in case.model.view.columns)
    learnt = tuple(column.name for column in case.candidate.view.columns)
    if learnt != deployed:
        yield f"the candidate takes {', '.join(learnt)}; the view has {', '.join(deployed)}"
    if case.rows is not None and case.rows.columns != deployed:
        yield f"gate.parquet has {', '.join(case.rows.columns)}; the view has {', '.join(deployed)}"
    if case.candidate.objective != case.model.objective:
        yield f"the objective is {case.candidate.objective}; the model's is {case.model.objective}"


def _names(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(tensor.name for tensor in tensors) or "none"


def _text(tensor: Tensor) -> str:
    return f"{tensor.dtype} [{', '.join('n' if size is None else str(size) for size in tensor.shape)}]"
