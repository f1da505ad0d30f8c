"""What a deployment comes to, in plain words and numbers: what `millrace check` shows of a pipeline file."""

from collections.abc import Iterator
from typing import Any

from millrace.durations import text as duration
from millrace.spec import (
    ColumnSpec,
    Const,
    Deployment,
    EventSpec,
    Expr,
    FeatureRef,
    FeatureSpec,
    FieldRef,
    FieldSpec,
    FileSourceSpec,
    GroupSpec,
    LabelSpec,
    ModelSpec,
    Op,
    PipelineSpec,
)

Plain = dict[str, Any]  # JSON: its readers are people and their programs

SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "and",
    "or": "or",
}
STATE_HEADER_BYTES = 56
"""What a group's stored value takes before its first feature and event."""


def describe(deployment: Deployment) -> Plain:
    """Return the deployment as JSON knows it: `hash`, `events`, `groups`, `pipelines`, `services`."""
    return {
        "hash": deployment.hash,
        "events": [_event(event) for event in deployment.events.values()],
        "groups": [_group(group, deployment) for group in deployment.groups.values()],
        "pipelines": [_pipeline(pipeline) for pipeline in deployment.pipelines.values()],
        "services": list(_services(deployment)),
    }


def expression_text(expr: Expr) -> str:
    """Return an expression as its author would write it.

    >>> amount = FieldRef("sale", "amount", "float")
    >>> expression_text(Op("gt", (Op("fill", (amount, Const(0))), Const(500))))
    'amount.fill(0) > 500'
    """
    match expr:
        case Const(value):
            return repr(value)
        case FieldRef(name=name):
            return name
        case FeatureRef(group, name):
            return f"{group}.{name}"
        case Op("fill", (first, second)):
            return f"{_operand(first)}.fill({expression_text(second)})"
        case Op(name, (first, second)):
            return f"{_operand(first)} {SYMBOLS[name]} {_operand(second)}"
        case Op(name, operands):
            return f"{'-' if name == 'neg' else 'not '}{_operand(operands[0])}"


def _operand(expr: Expr) -> str:
    text = expression_text(expr)
    return f"({text})" if isinstance(expr, Op) and expr.name != "fill" else text


def _event(event: EventSpec) -> Plain:
    return {
        "type": event.type,
        "class": event.class_name,
        "version": event.version,
        "topic": "raw-data",
        "key": f"{event.refers_field} (an id of {event.refers_to})"
        if event.refers_to
        else ", ".join(event.entity_fields),
        "id": event.id_field or "ce_id, else what it says or where it lies",
        "time": event.time_field,
        "lateness": duration(event.lateness_us),
        "max_future": duration(event.max_future_us),
        "dedupe": duration(event.dedupe_us),
        "fields": [_field(field) for field in event.fields],
    }


def _field(field: FieldSpec) -> Plain:
    limits = {">=": field.ge, ">": field.gt, "<=": field.le, "<": field.lt}
    stated = [f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None]
    return {
        "name": field.name,
        "type": field.dtype,
        "role": None if field.role == "plain" else field.role,
        "required": not field.optional,
        "limits": ", ".join(stated) or None,
        "personal": field.pii is not None,
    }


def _group(group: GroupSpec, deployment: Deployment) -> Plain:
    own = group.by == deployment.events[group.event].entity_fields
    columns = {expr for feature in group.features for expr in (feature.argument, feature.where) if expr is not None}
    return {
        "name": group.name,
        "key": group.key,
        "event": group.event,
        "entity": group.entity_type,
        "reads": "raw-data" if own else f"raw-data.by-{group.entity_type}",
        "features": [_feature(feature) for feature in group.features],
        "bytes_per_entity": STATE_HEADER_BYTES + 4 * len(group.features),
        "bytes_per_event": 8 * (1 + len(columns)),
        "events_kept": _kept(group, deployment.events[group.event]),
    }


def _feature(feature: FeatureSpec) -> Plain:
    argument = "" if feature.argument is None else expression_text(feature.argument)
    nth = f", {feature.n} back" if feature.op == "last" else ""
    return {
        "name": feature.name,
        "what": f"{feature.op}({argument}{nth})",
        "where": None if feature.where is None else expression_text(feature.where),
        "window": None if feature.window_us is None else duration(feature.window_us),
        "include_current": feature.include_current,
    }


def _kept(group: GroupSpec, event: EventSpec) -> str:
    windows = [feature.window_us for feature in group.features if feature.window_us is not None]
    last = max((feature.n for feature in group.features if feature.op == "last"), default=0)
    parts = [f"those of {duration(max(windows))} and {duration(event.lateness_us)} of lateness"] if windows else []
    return " and ".join([*parts, *([f"the last {last}"] if last else [])])


def _pipeline(pipeline: PipelineSpec) -> Plain:
    model = pipeline.model
    return {
        "name": pipeline.name,
        "owner": pipeline.owner,
        "model": model.name,
        "scores": model.score,
        "missing": model.missing,
        "label": _label(model.label),
        "view": {"hash": model.view.hash, "columns": [_column(column) for column in model.view.columns]},
        "training": _training(model),
        "gates": [{"name": gate.name, **gate.params, "blocking": gate.blocking} for gate in pipeline.gates],
        "rollout": pipeline.rollout.mode,
        "drift": _drift(pipeline),
        "retrain": _retrain(pipeline),
        "source": _source(pipeline.source) if pipeline.source else None,
        "policy_hash": pipeline.policy_hash,
    }


def _label(label: LabelSpec) -> Plain:
    return {
        "name": label.name,
        "of": label.event,
        "seen_in": label.seen_in,
        "value": expression_text(label.value),
        "default": label.default,
        "matures_after": duration(label.matures_after_us),
    }


def _column(column: ColumnSpec) -> Plain:
    source = (
        "feature"
        if isinstance(column.expr, FeatureRef)
        else "field"
        if isinstance(column.expr, FieldRef)
        else "derived"
    )
    return {"name": column.name, "type": column.dtype, "from": source, "is": expression_text(column.expr)}


def _training(model: ModelSpec) -> Plain:
    training = model.training
    return {
        "estimator": model.estimator.name,
        "params": dict(model.estimator.params),
        "objective": model.objective,
        "bootstrap_rows": training.bootstrap_rows,
        "newest_rows": training.rows_max,
        "shares": {"tune": training.tune_share, "gate": training.gate_share},
        "seed": training.seed,
        "virtual_time": duration(training.takes_us),
    }


def _drift(pipeline: PipelineSpec) -> Plain:
    drift = pipeline.drift
    return {
        "window": duration(drift.window_us),
        "rows_min": drift.window_rows_min,
        "windows_per_false_page": drift.windows_per_false_page,
        "labels_per_false_alarm": drift.labels_per_false_alarm,
    }


def _retrain(pipeline: PipelineSpec) -> Plain:
    retrain = pipeline.retrain
    return {
        "on_drift": retrain.on_drift,
        "on_performance": retrain.on_performance,
        "every_rows": retrain.every_rows,
        "every": None if retrain.every_us is None else duration(retrain.every_us),
        "rows_min": retrain.rows_min,
    }


def _source(source: FileSourceSpec) -> list[Plain]:
    return [
        {"event": event.event, "fields": sorted(event.fields), "delay": duration(event.delay_us)}
        for event in source.events
    ]


def _services(deployment: Deployment) -> Iterator[Plain]:
    """Yield what each service reads, writes and does for this deployment."""
    copies = [f"raw-data.by-{entity}" for entity in deployment.repartitioned]
    models = ", ".join(deployment.models)
    scored = [model.name for model in deployment.models.values() if model.score in ("stream", "both")]
    asked = [model.name for model in deployment.models.values() if model.score in ("request", "both")]
    answers = [f"scores each event for {', '.join(scored)}"] if scored else []
    answers += [f"answers /v1/models/{name}/predict" for name in asked]
    yield _service("ingest", [], ["raw-data"], f"takes {', '.join(deployment.events)}")
    labels = ", ".join(deployment.labels)
    does = f"computes {', '.join(deployment.groups) or 'spine rows only'}; keys the label {labels} by event"
    yield _service("features", ["raw-data", *copies], ["features", *copies], does)
    yield _service("trainer", ["features", "promotions", "drift-alerts"], ["model-candidates"], f"fits {models}")
    yield _service(
        "gatekeeper", ["model-candidates", "features", "predictions"], ["promotions"], f"decides who serves {models}"
    )
    yield _service("serving", ["promotions", *(["features"] if scored else [])], ["predictions"], "; ".join(answers))
    watched = ["features", "predictions", "model-candidates", "promotions"]
    yield _service("monitor", watched, ["drift-alerts"], f"watches {models}; asks for retraining")


def _service(name: str, reads: list[str], writes: list[str], does: str) -> Plain:
    return {"service": name, "reads": reads, "writes": writes, "does": does}
