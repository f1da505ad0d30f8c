"""What a model's runs are made of, and when one is due."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace as replaced

from millrace.spec import Deployment, ModelSpec
from millrace_common.ids import h, run_id
from millrace_common.messages import Alert, Candidate, Person
from millrace_common.messages.candidate import Trigger, ViewColumn, ViewFacts
from millrace_trainer.core.definition import view_json
from millrace_trainer.core.task import Ends, Given, Lesson, Request, Run, Task

AUTHOR = Person(name="trainer", role="service")
IMPORTER = Person(name="import", role="operator")


@dataclass(frozen=True, slots=True)
class Course:
    """One model as the trainer sees it: the lesson, and what every run of it has in common."""

    spec: ModelSpec
    lesson: Lesson
    window_rows: int
    topic: str
    version: str
    deployment_hash: str

    def run(
        self, request: Request, *, cut: Ends, parent_digest: str | None, now_us: int, bootstrap: int | None = None
    ) -> Run:
        """Return the run that answers a request on the rows before `cut`."""
        task = Task(
            run_id=run_id(self.spec.name, request.request_id),
            model=self.spec.name,
            trigger=request.trigger,
            correlation_id=request.correlation_id,
            lesson=self.lesson,
            estimator=self.spec.estimator.name,
            params=dict(self.spec.estimator.params),
            seed=self.spec.training.seed,
            window_rows=self.window_rows,
            topic=self.topic,
            cut=cut,
            train_from=request.train_from,
            rows_min=request.rows_min,
            parent_digest=parent_digest,
            version=self.version,
            deployment_hash=self.deployment_hash,
        )
        candidate = self._started(task, request, now_us=now_us)
        return Run(task=task, candidate=candidate, bootstrap=bootstrap, takes_us=self.spec.training.takes_us)

    def imported(self, given: Given, *, cut: Ends, parent_digest: str | None, now_us: int) -> Run:
        """Return the run that makes a brought model a candidate."""
        request = Request(
            request_id=f"import-{h(given.digest)}", model=self.spec.name, trigger=Trigger(kind="import"), cut={}
        )
        run = self.run(request, cut=cut, parent_digest=parent_digest, now_us=now_us)
        task = replaced(run.task, given=given, estimator="imported", params={})
        candidate = replaced(run.candidate, estimator="imported", author=IMPORTER)
        return replaced(run, task=task, candidate=candidate)

    def bootstrap(self, attempt: int, now_us: int) -> Request:
        """Return the model's own request, the `attempt`-th."""
        name = f"bootstrap-{attempt}"
        return Request(
            request_id=name,
            model=self.spec.name,
            trigger=Trigger(kind="bootstrap", request_id=name),
            cut={},
            correlation_id=run_id(self.spec.name, name),
            requested_us=now_us,
        )

    def bootstrap_rows(self, attempt: int) -> int:
        """Return the labelled rows that the `attempt`-th own run waits for: N, 2N, 4N, ..."""
        return self.spec.training.bootstrap_rows << (attempt - 1)

    def _started(self, task: Task, request: Request, *, now_us: int) -> Candidate:
        view = self.spec.view
        columns = tuple(ViewColumn(name=c.name, dtype=c.dtype, group=c.group) for c in view.columns)
        return Candidate(
            run_id=task.run_id,
            model=task.model,
            status="started",
            trigger=task.trigger,
            view=ViewFacts(name=view.name, hash=view.hash, columns=columns, groups=dict(view.groups)),
            objective=self.spec.objective,
            classes=("0", "1"),
            estimator=task.estimator,
            parent_digest=task.parent_digest,
            author=AUTHOR,
            requested_us=request.requested_us,
            started_us=now_us,
            correlation_id=request.correlation_id,
            causation_id=request.causation_id,
        )


def courses(deployment: Deployment, *, topic: str, version: str) -> Mapping[str, Course]:
    """Return the course of every model of a deployment."""
    return {
        pipeline.model.name: Course(
            spec=pipeline.model,
            lesson=lesson_of(pipeline.model, deployment),
            window_rows=pipeline.drift.window_rows_min,
            topic=topic,
            version=version,
            deployment_hash=deployment.hash,
        )
        for pipeline in deployment.pipelines.values()
    }


def lesson_of(model: ModelSpec, deployment: Deployment) -> Lesson:
    """Return what makes rows of the log the model's training set."""
    view, training = model.view, model.training
    return Lesson(
        event_type=view.event,
        lateness_us=deployment.events[view.event].lateness_us,
        label=model.label.name,
        default=model.label.default,
        matures_after_us=model.label.matures_after_us,
        view=view_json(view),
        entity_types={key: deployment.groups[name].entity_type for name, key in sorted(view.groups.items())},
        rows_max=training.rows_max,
        tune_share=training.tune_share,
        gate_share=training.gate_share,
    )


def request_of(alert: Alert, *, topic: str) -> Request | None:
    """Return what an alert asks for; None where it asks for no run."""
    retrain = alert.retrain
    if alert.kind != "retrain" or alert.state != "requested" or retrain is None or alert.model is None:
        return None
    start = (retrain.train_from or {}).get(topic)
    return Request(
        request_id=retrain.request_id,
        model=alert.model,
        trigger=Trigger(kind=retrain.reason, request_id=retrain.request_id, alert_id=alert.alert_id),
        cut={partition: end for partition, (_, end) in alert.cut.get(topic, {}).items()},
        train_from={partition: first for partition, (first, _) in start.items()} if start else None,
        rows_min=retrain.rows_min,
        correlation_id=alert.correlation_id or alert.incident_id,
        causation_id=alert.alert_id,
        requested_us=alert.at_us,
    )


def is_reached(cut: Ends, ends: Ends) -> bool:
    """Say whether everything before `cut` has been read.

    >>> is_reached({"0": 5}, {"0": 5}), is_reached({"1": 1}, {"0": 9})
    (True, False)
    """
    return all(ends.get(partition, 0) >= end for partition, end in cut.items())
