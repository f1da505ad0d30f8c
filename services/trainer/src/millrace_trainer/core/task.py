"""What a run is told and what it answers: the payload of a job and its result."""

from typing import Any, Literal

import msgspec

from millrace.spec import Scalar
from millrace_common.messages import Candidate, Reason
from millrace_common.messages.candidate import Artifact, Metric, TrainingData, Trigger

Ends = dict[str, int]
"""The offset after the last one, by partition as text."""


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What makes rows of the log a training set. `entity_types` says whose row carries a group, by the group's key."""

    event_type: str
    lateness_us: int
    label: str
    default: Scalar
    matures_after_us: int
    view: dict[str, Any]
    entity_types: dict[str, str]
    rows_max: int | None
    tune_share: float
    gate_share: float


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's wish for a run. It waits until the rows that its author had seen are here: `cut`."""

    request_id: str
    model: str
    trigger: Trigger
    cut: Ends
    train_from: Ends | None = None
    rows_min: int = 0
    correlation_id: str | None = None
    causation_id: str | None = None
    requested_us: int | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was brought, in the artifact store."""

    uri: str
    digest: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run, complete: it can be killed and done again to the same bytes. `given` is the model to import, if any."""

    run_id: str
    model: str
    trigger: Trigger
    correlation_id: str | None
    lesson: Lesson
    estimator: str
    params: dict[str, Scalar]
    seed: int
    window_rows: int
    topic: str
    cut: Ends
    train_from: Ends | None
    rows_min: int
    parent_digest: str | None
    version: str
    deployment_hash: str
    given: Given | None = None


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A job's payload: the task, where the artifact goes, and the rows: at a place, or here."""

    task: Task
    artifacts_url: str
    rows_url: str | None = None
    dataset: bytes | None = None
    takes_us: int = 60_000_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run's end. A refusal carries what was learnt up to it."""

    status: Literal["ready", "refused"]
    reason: Reason | None = None
    candidate_id: str | None = None
    artifact: Artifact | None = None
    record_digest: str | None = None
    profile_digest: str | None = None
    threshold: float | None = None
    metrics: dict[str, dict[str, Metric]] = {}
    data: TrainingData | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded run: its task, and the latest word about it. `bootstrap` counts a model's own attempts from 1."""

    task: Task
    candidate: Candidate
    bootstrap: int | None = None
    takes_us: int = 60_000_000

    @property
    def is_open(self) -> bool:
        """Say whether the run is still to be done."""
        return self.candidate.status == "started"
