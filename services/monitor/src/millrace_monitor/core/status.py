"""What the monitor knows, for people and programs that ask now."""

import msgspec

from millrace.spec import PipelineSpec
from millrace_common.messages.alert import Loop
from millrace_monitor.core.accuracy import Accuracy
from millrace_monitor.core.drift import Reading
from millrace_monitor.core.intake import Gathered
from millrace_monitor.core.judge import Judge

WINDOWS_SHOWN = 400


class WindowStatus(msgspec.Struct, frozen=True):
    """The accuracy of one version in one window of event time."""

    start_us: int
    end_us: int
    n: int
    accuracy: float
    version: str


class IncidentStatus(msgspec.Struct, frozen=True):
    """An open incident."""

    incident_id: str
    kind: str
    subject: str
    version: str
    severity: str
    opened_us: int
    changed_us: int | None
    revision: int


class RequestStatus(msgspec.Struct, frozen=True):
    """The open request for a new model."""

    request_id: str
    reason: str
    requested_us: int
    candidate_id: str | None


class ModelStatus(msgspec.Struct, frozen=True):
    """One model. Accuracies are shares, null on nothing; times are microseconds."""

    model: str
    owner: str | None
    version: str | None
    digest: str | None
    since_us: int | None
    rows: int
    predictions: int
    errors: int
    labelled: int
    graded: int
    orphans: int
    watermark_us: int
    accuracy: float | None
    accuracy_by_version: dict[str, float | None]
    baselines: dict[str, float | None]
    windows: tuple[WindowStatus, ...]
    columns: tuple[Reading, ...]
    drift_evidence: float | None
    concept_evidence: float | None
    incidents: tuple[IncidentStatus, ...]
    request: RequestStatus | None
    rejections: int
    loops: tuple[Loop, ...]


class Status(msgspec.Struct, frozen=True):
    """Everything. `positions` is {topic: {partition: next offset}}."""

    at_us: int
    models: tuple[ModelStatus, ...]
    positions: dict[str, dict[str, int]]
    alerts: int
    """Offset after the newest alert that was read back."""


def status_of(pipeline: PipelineSpec, gathered: Gathered, judge: Judge) -> ModelStatus:
    """Return the status of one model."""
    champion, accuracy, request = gathered.champion, gathered.accuracy, judge.requests.open
    return ModelStatus(
        model=pipeline.model.name,
        owner=pipeline.owner,
        version=champion.version if champion else None,
        digest=champion.digest if champion else None,
        since_us=champion.at_us if champion else None,
        rows=gathered.rows,
        predictions=gathered.predictions,
        errors=gathered.errors,
        labelled=gathered.labelled,
        graded=accuracy.total.n,
        orphans=gathered.orphans,
        watermark_us=gathered.rows_us,
        accuracy=accuracy.total.share,
        accuracy_by_version={version: tally.share for version, tally in accuracy.versions.items()},
        baselines={"last_known": accuracy.last_known.share, "majority": accuracy.majority.share},
        windows=_windows(accuracy),
        columns=judge.readings,
        drift_evidence=judge.pager.level if judge.pager else None,
        concept_evidence=judge.concept.level if judge.concept else None,
        incidents=_incidents(judge),
        request=RequestStatus(request.request_id, request.reason, request.requested_us, request.candidate_id)
        if request
        else None,
        rejections=judge.requests.rejections,
        loops=tuple(judge.loops),
    )


def _windows(accuracy: Accuracy) -> tuple[WindowStatus, ...]:
    newest = sorted(accuracy.windows)[-WINDOWS_SHOWN:]
    return tuple(
        WindowStatus(start, start + accuracy.width_us, tally.n, tally.right / tally.n, version)
        for start in newest
        for version, tally in sorted(accuracy.windows[start].items())
    )


def _incidents(judge: Judge) -> tuple[IncidentStatus, ...]:
    return tuple(
        IncidentStatus(
            one.incident_id,
            one.kind,
            one.subject,
            one.version,
            one.severity,
            one.opened_us,
            one.changed_us,
            judge.threads[one.incident_id].revision,
        )
        for _, one in sorted(judge.incidents.items())
    )
