"""What a deployment comes to, in plain words and numbers: what `millrace check` shows of a pipeline file."""

from collections.abc import Iterator

from millrace.catalog import Plain, group_text
from millrace.durations import text as duration
from millrace.spec import (
    ColumnSpec,
    Deployment,
    EventSpec,
    FeatureRef,
    FieldRef,
    FieldSpec,
    FileSourceSpec,
    LabelSpec,
    ModelSpec,
    PipelineSpec,
)
from millrace.wording import expression_text


def describe(deployment: Deployment) -> Plain:
    """Return the deployment as JSON knows it: `hash`, `events`, `groups`, `pipelines`, `services`."""
    return {
        "hash": deployment.hash,
        "events": [_event(event) for event in deployment.events.values()],
        "groups": [group_text(group, deployment) for group in deployment.groups.values()],
        "pipelines": [_pipeline(pipeline) for pipeline in deployment.pipelines.values()],
        "services": list(_services(deployment)),
    }


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
