"""Pipelines and their policies."""

import re
from types import NoneType

from millrace.checks.draft import Draft
from millrace.checks.models import model_spec
from millrace.checks.sources import source_spec
from millrace.files import FileSource
from millrace.hashing import content_hash
from millrace.models import Model, Pipeline
from millrace.policies import Direct, Drift, Floor, Gate, NonInferior, Retrain, Rollout
from millrace.spec import DriftSpec, GateSpec, PipelineSpec, RetrainSpec, RolloutSpec

BUDGET = re.compile(r"1 false page per (\d+) windows")


def pipeline_spec(pipeline: Pipeline, draft: Draft) -> PipelineSpec | None:
    """Return a checked pipeline; None where it has mistakes."""
    before = len(draft.mistakes)
    if not _is_whole(pipeline, draft):
        return None
    draft.name(pipeline.place, pipeline.name, of="a pipeline")
    model = model_spec(pipeline.model, pipeline.name, draft)
    gates = _gates(pipeline, draft)
    rollout = _rollout(pipeline, draft)
    drift, retrain = _drift(pipeline.drift, draft), _retrain(pipeline.retrain, draft)
    source = source_spec(pipeline.source, draft) if pipeline.source else None
    if model is None or len(draft.mistakes) > before:
        return None
    policy_hash = content_hash(gates, rollout, drift, retrain)
    return PipelineSpec(pipeline.name, model, gates, rollout, drift, retrain, source, pipeline.owner, policy_hash)


def _is_whole(pipeline: Pipeline, draft: Draft) -> bool:
    """Return whether every part is of its kind."""
    place = pipeline.place
    kinds: tuple[tuple[str, type | tuple[type, ...]], ...] = (
        ("name", str),
        ("model", Model),
        ("gates", (list, tuple)),
        ("rollout", Rollout),
        ("drift", Drift),
        ("retrain", Retrain),
        ("source", (FileSource, NoneType)),
        ("owner", (str, NoneType)),
    )
    parts = [draft.is_a(place, getattr(pipeline, name), kind, of=name) for name, kind in kinds]
    return all(parts) and all([draft.is_a(place, gate, Gate, of="a gate") for gate in pipeline.gates])


def _gates(pipeline: Pipeline, draft: Draft) -> tuple[GateSpec, ...]:
    names = [gate.name for gate in pipeline.gates]
    for name in sorted({name for name in names if names.count(name) > 1}):
        draft.mistake(pipeline.place, f"two gates {name}", mend="state each gate once")
    for gate in pipeline.gates:
        _limits(gate, draft)
    return tuple(GateSpec(gate.name, dict(gate.params), gate.blocking) for gate in pipeline.gates)


def _limits(gate: Gate, draft: Draft) -> None:
    if isinstance(gate, Floor) and gate.at_least is None and not gate.above_majority:
        mend = "write Floor(at_least=0.8) or Floor(above_majority=True)"
        draft.mistake(gate.place, "a floor without a limit", mend=mend)
    if isinstance(gate, Floor) and gate.at_least is not None and not 0 <= gate.at_least <= 1:
        draft.mistake(gate.place, f"a floor of {gate.at_least}", mend="take a share between 0 and 1")
    if isinstance(gate, NonInferior) and not 0 <= gate.margin < 1:
        draft.mistake(gate.place, f"a margin of {gate.margin}", mend="take a share between 0 and 1, such as 0.01")


def _rollout(pipeline: Pipeline, draft: Draft) -> RolloutSpec:
    rollout = pipeline.rollout
    if not isinstance(rollout, Direct):
        what = f"{type(rollout).__name__} is not available in this version"
        draft.mistake(rollout.place, what, mend="use Direct()")
    return RolloutSpec("direct")


def _drift(drift: Drift, draft: Draft) -> DriftSpec:
    window_us = draft.duration(drift.place, drift.window, of="drift's window", least_us=1_000_000)
    draft.at_least(drift.place, drift.rows_min, 20, of="drift's rows_min")
    draft.at_least(drift.place, drift.labels_per_false_alarm, 1, of="labels_per_false_alarm")
    match = BUDGET.fullmatch(drift.budget)
    if match is None or not int(match[1]):
        mend = 'write "1 false page per 2000 windows"'
        draft.mistake(drift.place, f"the budget {drift.budget!r} is not understood", mend=mend)
        return DriftSpec(window_us)
    return DriftSpec(window_us, drift.rows_min, float(match[1]), float(drift.labels_per_false_alarm))


def _retrain(retrain: Retrain, draft: Draft) -> RetrainSpec:
    draft.at_least(retrain.place, retrain.every_rows, 1, of="every_rows")
    draft.at_least(retrain.place, retrain.rows_min, 1, of="rows_min")
    every = retrain.every
    every_us = None if every is None else draft.duration(retrain.place, every, of="every", least_us=1_000_000)
    return RetrainSpec(retrain.on_drift, retrain.on_performance, retrain.every_rows, every_us, retrain.rows_min)
