"""A model with two inputs, its artifacts and its candidates, made by hand: weights in, verdicts out."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from onnx import TensorProto, helper

from millrace.spec import (
    ColumnSpec,
    Deployment,
    DriftSpec,
    EstimatorSpec,
    FieldRef,
    GateSpec,
    LabelSpec,
    ModelSpec,
    PipelineSpec,
    RetrainSpec,
    RolloutSpec,
    TrainingSpec,
    ViewSpec,
)
from millrace_common.errors import Refused
from millrace_common.ids import h, sha256
from millrace_common.messages import Candidate, Person
from millrace_common.messages.candidate import (
    Artifact,
    FileFacts,
    Split,
    TrainingData,
    Trigger,
    ViewColumn,
    ViewFacts,
)

COLUMNS = ("a", "b")
VIEW_HASH = "f" * 64
MODEL = "toy"
GATES = ("integrity", "lineage", "schema", "parity", "floor", "non_inferior")
Floats = NDArray[np.float64]


def deployment(gates: tuple[GateSpec, ...] | None = None) -> Deployment:
    """Return a deployment of one model that takes the fields `a` and `b` of an event."""
    columns = tuple(ColumnSpec(name, "float", FieldRef("Row", name, "float")) for name in COLUMNS)
    view = ViewSpec("toy_view", "row", columns, {}, VIEW_HASH)
    label = LabelSpec("up", "row", "outcome", FieldRef("Outcome", "up", "bool"), None, 0)
    model = ModelSpec(MODEL, view, label, EstimatorSpec("logistic"), "binary", "stream", TrainingSpec())
    pipeline = PipelineSpec(
        name="toy",
        model=model,
        gates=tuple(GateSpec(name) for name in GATES) if gates is None else gates,  # type: ignore[arg-type]  # literals
        rollout=RolloutSpec(),
        drift=DriftSpec(86_400_000_000),
        retrain=RetrainSpec(),
        policy_hash="p" * 64,
    )
    return Deployment({}, {}, {"up": label}, {"toy": pipeline}, "d" * 64)


def linear(a: float, b: float, *, noise_op: bool = False, width: int = 2) -> bytes:
    """Return an ONNX model that scores sigmoid(a x_0 + b x_1)."""
    weights = np.zeros((width, 1), np.float32)
    weights[:2, 0] = (a, b)
    nodes = [
        helper.make_node("RandomNormalLike" if noise_op else "Identity", ["features"], ["same"]),
        helper.make_node("MatMul", ["same", "weights"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["up"]),
        helper.make_node("Sub", ["one", "up"], ["down"]),
        helper.make_node("Concat", ["down", "up"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [width, 1], weights.ravel().tolist()),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True)
class World:
    """Rows whose truth follows sigmoid(4 (truth . x)), `n` of them, ten minutes apart from `start_us`."""

    truth: tuple[float, float] = (1.0, 0.0)
    n: int = 600
    seed: int = 0
    start_us: int = 1_000_000_000_000
    entities: int = 60

    def rows(self, weights: tuple[float, float], *, bias: float = 0.0) -> bytes:
        """Return gate.parquet with the scores that a model of these weights gives natively."""
        rng = np.random.default_rng(self.seed)
        x = rng.normal(size=(self.n, 2)).astype(np.float32)
        labels = rng.random(self.n) < sigmoid(4 * (x @ np.array(self.truth)))
        native = sigmoid(x.astype(np.float64) @ np.array(weights)) + bias
        columns: Mapping[str, object] = {
            "a": x[:, 0],
            "b": x[:, 1],
            "__label": labels.astype(np.int8),
            "__entity": [f"e{i % self.entities}" for i in range(self.n)],
            "__event_id": [f"v{i}" for i in range(self.n)],
            "__time_us": self.start_us + np.arange(self.n, dtype=np.int64) * 600_000_000,
            "__score": native.astype(np.float32),
        }
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        return sink.getvalue()


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)), np.float64)


def artifact_files(weights: tuple[float, float], world: World, **changed: bytes | None) -> dict[str, bytes]:
    """Return the files of a good artifact; `changed` replaces some by stem, None takes one away."""
    profile = {"view_hash": VIEW_HASH, "columns": [{"name": name} for name in COLUMNS], "threshold": 0.5}
    files: dict[str, bytes] = {
        "model.onnx": linear(*weights),
        "gate.parquet": world.rows(weights),
        "profile.json": json.dumps(profile).encode(),
        "golden.json": b"{}",
        "record.json": b'{"model":"toy"}',
        "README.md": b"# toy",
    }
    names = {name.split(".")[0].lower(): name for name in files}
    for stem, data in changed.items():
        if data is None:
            del files[names[stem]]
        else:
            files[names[stem]] = data
    return files


@dataclass(slots=True)
class MemoryArtifacts:
    """Artifacts by digest; those in `corrupt` are refused."""

    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)

    def put(self, files: dict[str, bytes]) -> Artifact:
        """Keep the files and return their facts."""
        facts = {name: FileFacts(digest=sha256(data), size_bytes=len(data)) for name, data in files.items()}
        digest = sha256(json.dumps(sorted((name, fact.digest) for name, fact in facts.items())).encode())
        self.kept[digest] = files
        size = sum(len(data) for data in files.values())
        return Artifact(uri=f"memory://{digest}", digest=digest, size_bytes=size, files=facts)

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the files; raises Refused."""
        if digest in self.corrupt or digest not in self.kept:
            raise Refused("artifact-corrupt", f"{uri} is not what it says")
        return self.kept[digest]


def candidate(artifacts: MemoryArtifacts, files: dict[str, bytes], *, gate_from_us: int = 0) -> Candidate:
    """Return a ready candidate of these files, taught by rows that end just before its gate rows."""
    artifact = artifacts.put(files)
    taught = Split(from_us=0, to_us=gate_from_us - 1, n=10)
    return Candidate(
        run_id=h("run", artifact.digest),
        model=MODEL,
        status="ready",
        trigger=Trigger(kind="manual"),
        candidate_id=h("candidate", artifact.digest),
        artifact=artifact,
        record_digest=sha256(files.get("record.json", b"")),
        profile_digest=sha256(files.get("profile.json", b"")),
        view=ViewFacts(
            name="toy_view",
            hash=VIEW_HASH,
            columns=tuple(ViewColumn(name=name, dtype="float") for name in COLUMNS),
            groups={},
        ),
        objective="binary",
        estimator="logistic",
        threshold=0.5,
        data=TrainingData(
            offsets={"features": {"0": (0, 10)}},
            watermark_us=0,
            rows=10,
            labelled=10,
            dataset_digest="sha256:" + "0" * 64,
            splits={"fit": taught, "tune": taught, "gate": taught},
        ),
        author=Person(name="trainer", role="service"),
        started_us=1,
        finished_us=2,
        correlation_id="c1",
    )
