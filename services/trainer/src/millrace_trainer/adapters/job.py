"""A run, from rows to artifact: gather, fit, convert, compare, measure, store. Runs in a process of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import Scalar
from millrace_common import profiles
from millrace_common.artifacts import ArtifactStore, manifest
from millrace_common.errors import Refused
from millrace_common.ids import h, sha256
from millrace_common.messages import Reason
from millrace_common.messages.candidate import Metric, TrainingData
from millrace_engine.views import compile_view
from millrace_trainer.adapters import lightgbm_model, logistic_model
from millrace_trainer.adapters.delta_rows import read_entries
from millrace_trainer.adapters.environment import environment
from millrace_trainer.adapters.files import gate_parquet, golden_json
from millrace_trainer.adapters.onnx_model import OPSET, OnnxModel, convert
from millrace_trainer.core.assembly import Window, assemble
from millrace_trainer.core.dataset import Dataset, Matrix, unpack
from millrace_trainer.core.definition import view_of
from millrace_trainer.core.metrics import measure
from millrace_trainer.core.parity import Parity, boundary_rows, compare
from millrace_trainer.core.record import Account, card, record
from millrace_trainer.core.reference import golden_rows, profile
from millrace_trainer.core.splits import describe, split
from millrace_trainer.core.task import Result, Task, Work

THRESHOLD = 0.5
Fitted = lightgbm_model.LightGbmModel | logistic_model.LogisticModel


class Fit(Protocol):
    """What fits a model."""

    def __call__(
        self, dataset: Dataset, parts: Mapping[str, slice], *, params: Mapping[str, Scalar], seed: int
    ) -> Fitted:
        """Return a model fitted on `fit` and stopped on `tune`."""
        ...


FITS: Mapping[str, Fit] = {"lightgbm": lightgbm_model.fit, "logistic": logistic_model.fit}


class Model(Protocol):
    """A model that scores rows, in its own library."""

    @property
    def params(self) -> Mapping[str, Scalar]:
        """Return the parameters that it was fitted with."""
        ...

    @property
    def rounds(self) -> int:
        """Return how many rounds the fit took."""
        ...

    def score(self, x: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        ...

    def explain(self) -> bytes | None:
        """Return what exact attributions are computed from."""
        ...


@dataclass(frozen=True, slots=True)
class Brought:
    """A model that was imported: it exists as ONNX only."""

    onnx: OnnxModel
    params: Mapping[str, Scalar]
    rounds: int = 0

    def score(self, x: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        return self.onnx.run(x)[1][:, 1]

    def explain(self) -> bytes | None:
        """Return nothing: it was not fitted here."""
        return None


@dataclass(frozen=True, slots=True)
class Made:
    """A model with its ONNX form and, where it was converted here, how the two compare."""

    model: Model
    data: bytes
    onnx: OnnxModel
    parity: Parity | None


def run(payload: bytes) -> bytes:
    """Do a run and return its result; what cannot become a candidate is a refusal with its reason."""
    work = msgspec.msgpack.decode(payload, type=Work)
    try:
        result = _run(work)
    except Refused as refusal:
        result = Result(status="refused", reason=Reason(code=refusal.reason, text=str(refusal)))
    return msgspec.msgpack.encode(result)


def _run(work: Work) -> Result:
    task = work.task
    store = ArtifactStore.open(work.artifacts_url)
    dataset = _dataset(work)
    parts = split(dataset.times_us, tune_share=task.lesson.tune_share, gate_share=task.lesson.gate_share)
    if len(np.unique(dataset.y[parts["fit"]])) < 2:
        raise Refused("one-class", f"all {parts['fit'].stop} rows to fit have the label {dataset.y[0]}")
    baseline = logistic_model.fit(dataset, parts, params={}, seed=task.seed)
    made = _made(task, store, dataset, parts)
    scores = made.model.score(dataset.x)
    metrics = {name: measure(scores[part], dataset.y[part], threshold=THRESHOLD) for name, part in parts.items()}
    gate = parts["gate"]
    metrics["gate_baseline"] = measure(baseline.score(dataset.x[gate]), dataset.y[gate], threshold=THRESHOLD)
    account = _account(task, dataset, parts, made, metrics)
    data = _training_data(account, dataset)
    if made.parity is not None and not made.parity.holds:
        text = f"the converted model is up to {made.parity.apart:g} off, {made.parity.flips} labels differ"
        refused = Reason(code="parity", text=text)
        return Result(status="refused", reason=refused, metrics=_plain(metrics), data=data, threshold=THRESHOLD)
    return _stored(store, _files(account, dataset, parts, made, scores), metrics=_plain(metrics), data=data)


def _dataset(work: Work) -> Dataset:
    task = work.task
    if work.dataset is not None:
        return unpack(work.dataset)
    assert work.rows_url is not None
    return assemble(
        read_entries(work.rows_url, event_type=task.lesson.event_type),
        task.lesson,
        compile_view(view_of(task.lesson.view)),
        cut=task.cut,
        window=Window(task.lesson.rows_max, task.train_from, task.rows_min),
    )


def _made(task: Task, store: ArtifactStore, dataset: Dataset, parts: Mapping[str, slice]) -> Made:
    columns = dataset.x.shape[1]
    if task.given is not None:
        data = store.read(task.given.uri, task.given.digest)["model.onnx"]
        onnx = OnnxModel.load(data, columns=columns)
        return Made(Brought(onnx, task.params), data, onnx, None)
    fit = FITS.get(task.estimator)
    if fit is None:
        raise Refused("unknown-estimator", f"{task.estimator!r}; known: {', '.join(sorted(FITS))}")
    model = fit(dataset, parts, params=task.params, seed=task.seed)
    data = convert(model, columns=columns)
    onnx = OnnxModel.load(data, columns=columns)
    gate = dataset.x[parts["gate"]]
    rows = np.concatenate((gate, boundary_rows(gate, model.boundaries())))
    labels, probabilities = onnx.run(rows)
    return Made(model, data, onnx, compare(model.score(rows), probabilities[:, 1], labels))


def _account(
    task: Task,
    dataset: Dataset,
    parts: Mapping[str, slice],
    made: Made,
    metrics: Mapping[str, Mapping[str, Metric]],
) -> Account:
    surroundings = environment()
    converters: dict[str, Any] = {name: surroundings[name] for name in ("onnx", "onnxmltools", "skl2onnx")}
    return Account(
        task=task,
        facts=dataset.facts,
        dataset_digest=dataset.digest(),
        splits=describe(dataset.times_us, parts),
        params=made.model.params,
        rounds=made.model.rounds,
        threshold=THRESHOLD,
        metrics=metrics,
        onnx={"opset": OPSET, "converters": converters},
        parity=made.parity,
        environment=surroundings,
    )


def _training_data(account: Account, dataset: Dataset) -> TrainingData:
    return TrainingData(
        offsets=account.facts.offsets,
        watermark_us=account.facts.watermark_us,
        rows=len(dataset),
        labelled=account.facts.labelled,
        dataset_digest=account.dataset_digest,
        splits=dict(account.splits),
    )


def _files(
    account: Account,
    dataset: Dataset,
    parts: Mapping[str, slice],
    made: Made,
    scores: NDArray[np.float64],
) -> dict[str, bytes]:
    view = account.task.lesson.view
    names = tuple(str(column["name"]) for column in view["columns"])
    reference = profile(
        dataset,
        parts,
        names=names,
        scores=scores,
        accuracy=account.metrics["tune"]["accuracy"],
        facts=(str(view["hash"]), account.threshold, account.task.window_rows),
    )
    golden = golden_rows(dataset.x[parts["tune"]])
    explain = made.model.explain()
    return {
        "model.onnx": made.data,
        "profile.json": profiles.encode(reference),
        "gate.parquet": gate_parquet(dataset, parts["gate"], names=names, scores=scores),
        "golden.json": golden_json(names, golden, *made.onnx.run(golden)),
        "record.json": record(account),
        "README.md": card(account),
        **({"explain.lgb.txt": explain} if explain is not None else {}),
    }


def _stored(
    store: ArtifactStore, files: Mapping[str, bytes], *, metrics: dict[str, dict[str, Metric]], data: TrainingData
) -> Result:
    facts = manifest(files)
    return Result(
        status="ready",
        candidate_id=h(*(part for name in sorted(facts) for part in (name, facts[name].digest))),
        artifact=store.write(files),
        record_digest=sha256(files["record.json"]),
        profile_digest=sha256(files["profile.json"]),
        threshold=THRESHOLD,
        metrics=metrics,
        data=data,
    )


def _plain(metrics: Mapping[str, Mapping[str, Metric]]) -> dict[str, dict[str, Metric]]:
    return {split_name: dict(measured) for split_name, measured in metrics.items()}
