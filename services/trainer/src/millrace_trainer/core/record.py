"""record.json and README.md: all that is needed to make the same model again, and to know what it is good for.

Neither holds the time of day: the same task on the same rows gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from millrace.spec import Scalar
from millrace_common.messages.candidate import Metric, Split
from millrace_trainer.core.dataset import Facts
from millrace_trainer.core.parity import Parity
from millrace_trainer.core.task import Task

ENTRY_POINT = "millrace_trainer.adapters.job:run"
SPLIT_METHOD = "by event time: fit, tune, gate; an entity may lie in several splits"
LABEL_POLICY = "newest label by (seen time, log order); null withdraws; a default counts once the row is mature"
THRESHOLD_RULE = "fixed"


@dataclass(frozen=True, slots=True)
class Account:
    """What a run did, in the parts that its record and its card are written from."""

    task: Task
    facts: Facts
    dataset_digest: str
    splits: Mapping[str, Split]
    params: Mapping[str, Scalar]
    rounds: int
    threshold: float
    metrics: Mapping[str, Mapping[str, Metric]]
    onnx: Mapping[str, Any]
    parity: Parity | None
    environment: Mapping[str, str]


def record(account: Account) -> bytes:
    """Return record.json."""
    task, lesson = account.task, account.task.lesson
    content: dict[str, Any] = {
        "format": 1,
        "model": task.model,
        "run_id": task.run_id,
        "trigger": task.trigger,
        "correlation_id": task.correlation_id,
        "parent_digest": task.parent_digest,
        "code": {"version": task.version, "entry_point": ENTRY_POINT, "deployment_hash": task.deployment_hash},
        "view": lesson.view,
        "label": {
            "name": lesson.label,
            "default": lesson.default,
            "matures_after_us": lesson.matures_after_us,
            "policy": LABEL_POLICY,
        },
        "data": _data(account),
        "estimator": _estimator(account),
        "threshold": {"value": account.threshold, "rule": THRESHOLD_RULE},
        "metrics": account.metrics,
        "onnx": {**account.onnx, "parity": account.parity},
        "given": task.given,
        "environment": account.environment,
    }
    return msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=1)


def _data(account: Account) -> dict[str, Any]:
    task, lesson = account.task, account.task.lesson
    return {
        **msgspec.to_builtins(account.facts),
        "dataset_digest": account.dataset_digest,
        "rows_max": lesson.rows_max,
        "train_from": task.train_from,
        "split_method": SPLIT_METHOD,
        "tune_share": lesson.tune_share,
        "gate_share": lesson.gate_share,
        "splits": account.splits,
    }


def _estimator(account: Account) -> dict[str, Any]:
    return {
        "name": account.task.estimator,
        "params": account.params,
        "rounds": account.rounds,
        "seed": account.task.seed,
        "threads": 1,
        "search": None,
    }


def card(account: Account) -> bytes:
    """Return README.md: a model card with the front matter that model hubs read."""
    task = account.task
    gate = account.metrics.get("gate", {})
    results = "\n".join(f"      - type: {name}\n        value: {metric.value}" for name, metric in sorted(gate.items()))
    rows = "\n".join(
        f"| {split} | {name} | {metric.value} | {metric.low} to {metric.high} | {metric.n} |"
        for split, metrics in account.metrics.items()
        for name, metric in sorted(metrics.items())
    )
    spans = "\n".join(f"| {name} | {part.n} | {part.from_us} | {part.to_us} |" for name, part in account.splits.items())
    columns = ", ".join(f"`{column['name']}`" for column in task.lesson.view["columns"])
    return CARD.format(
        model=task.model,
        estimator=task.estimator,
        results=results,
        rows=rows,
        spans=spans,
        columns=columns,
        event=task.lesson.event_type,
        label=task.lesson.label,
        view=task.lesson.view["name"],
        view_hash=task.lesson.view["hash"],
        threshold=account.threshold,
        dataset_digest=account.dataset_digest,
        trigger=task.trigger.kind,
        split_method=SPLIT_METHOD,
        policy=LABEL_POLICY,
    ).encode()


CARD = """---
license: other
library_name: onnx
pipeline_tag: tabular-classification
tags:
  - millrace
  - {estimator}
metrics:
  - accuracy
  - roc_auc
model-index:
  - name: {model}
    results:
      - task:
          type: tabular-classification
        dataset:
          name: {view}
          type: {event}
          revision: {dataset_digest}
        metrics:
{results}
---

# {model}

Says how likely `{label}` is for an event of type `{event}`. Probability of class 1; decided at {threshold}.

## Details

Estimator `{estimator}`, started by `{trigger}`. Inputs in order (view `{view}`, hash `{view_hash}`): {columns}.
`record.json` beside this file holds everything needed to make the same bytes again.

## Intended use

Scoring events of this type inside the deployment that trained it. Nothing was checked for other populations.

## Data

Digest `{dataset_digest}`. Split {split_method}. Labels: {policy}.

| split | rows | from (us) | to (us) |
|---|---|---|---|
{spans}

## Evaluation

| split | metric | value | 95 % interval | rows |
|---|---|---|---|---|
{rows}

## Caveats

The stream may change after the last row above; the monitor compares what is served with `profile.json`.
"""
