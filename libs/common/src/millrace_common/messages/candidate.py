"""Candidate: a training run's status, and the model it made."""

from typing import ClassVar, Literal

from millrace_common.messages._base import (
    Blob,
    Message,
    Offsets,
    Person,
    Reason,
    Signature,
    Value,
)


class Trigger(Value, frozen=True, kw_only=True):
    """Why a run was started."""

    kind: str
    request_id: str | None = None
    alert_id: str | None = None


class FileFacts(Value, frozen=True, kw_only=True):
    """One file of an artifact."""

    digest: str
    size_bytes: int


class Artifact(Blob, frozen=True, kw_only=True):
    """A content-addressed folder: `digest` covers the names and digests of all files."""

    files: dict[str, FileFacts]


class ViewColumn(Value, frozen=True, kw_only=True):
    """One ordered input of a model."""

    name: str
    dtype: str
    group: str | None = None


class ViewFacts(Value, frozen=True, kw_only=True):
    """The view that a model learnt from."""

    name: str
    hash: str
    columns: tuple[ViewColumn, ...]
    groups: dict[str, str]


class Metric(Value, frozen=True, kw_only=True):
    """A number with its 95 % interval and the rows it stands on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int


class Split(Value, frozen=True, kw_only=True):
    """Rows of one time span."""

    from_us: int
    to_us: int
    n: int


class TrainingData(Value, frozen=True, kw_only=True):
    """What a run learnt from, exactly enough to find it again."""

    offsets: Offsets
    watermark_us: int
    rows: int
    labelled: int
    dataset_digest: str
    splits: dict[str, Split]


class Candidate(Message, frozen=True, kw_only=True, tag="millrace.candidate.v1"):
    """A run's status. Of one run_id the latest record counts."""

    topic: ClassVar[str] = "model-candidates"
    id_field: ClassVar[str] = "message_id"
    time_field: ClassVar[str] = "at_us"

    run_id: str
    model: str
    status: Literal["started", "ready", "refused", "failed", "cancelled"]
    reason: Reason | None = None
    trigger: Trigger
    candidate_id: str | None = None
    artifact: Artifact | None = None
    record_digest: str | None = None
    profile_digest: str | None = None
    view: ViewFacts
    objective: str
    classes: tuple[str, ...] | None = None
    estimator: str
    threshold: float | None = None
    metrics: dict[str, dict[str, Metric]] = {}
    data: TrainingData | None = None
    parent_digest: str | None = None
    author: Person
    requested_us: int | None = None
    started_us: int
    finished_us: int | None = None
    signature: Signature | None = None

    @property
    def key(self) -> str:
        """Return the model's name."""
        return self.model

    @property
    def message_id(self) -> str:
        """Return the CloudEvents id: a run speaks once for each status."""
        return f"{self.run_id}.{self.status}"

    @property
    def at_us(self) -> int:
        """Return when this status was reached."""
        return self.started_us if self.finished_us is None else self.finished_us
