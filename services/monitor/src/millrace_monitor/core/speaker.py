"""Alerts in the making: everything that one cut makes the monitor say of one model, in order."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from millrace.spec import PipelineSpec
from millrace_common.ids import alert_id, incident_id
from millrace_common.messages import Alert, Offsets
from millrace_common.messages.alert import Subject
from millrace_monitor.core.cut import Cut, Promoted
from millrace_monitor.core.incident import Incident, IncidentKind, Severity

Said = Literal["drift", "quality", "performance", "serving", "retrain", "loop"]
THREADS_MAX = 200
State = Literal["firing", "updated", "resolved", "requested", "closed"]


class Thread(msgspec.Struct, frozen=True):
    """How far the story of one incident was told: an alert of it, a request because of it and its loop share it."""

    revision: int = 0
    alert_id: str | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says what a cut gives reason to say. Ids follow from the cut, so that a replay says the same."""

    pipeline: PipelineSpec
    cut: Cut
    threads: dict[str, Thread]
    said: list[Alert] = field(default_factory=list)

    def open(self, kind: IncidentKind, subject: str, champion: Promoted | None, severity: Severity) -> Incident:
        """Return a new incident of the champion; nothing is said yet."""
        model = self.pipeline.model.name
        digest = champion.digest if champion else ""
        first_cut = msgspec.json.encode(self.cut.offsets, order="sorted").decode()
        return Incident(
            incident_id=incident_id(model, digest, kind, subject, "", first_cut),
            kind=kind,
            subject=subject,
            version=champion.version if champion else "",
            digest=digest,
            severity=severity,
            opened_us=self.cut.at_us,
            labelled_at_change=self.cut.labelled,
        )

    def say(self, incident: Incident, kind: Said, state: State) -> "Draft":
        """Begin the next revision of an incident; facts are added to the draft, then it is said."""
        before = self.threads.get(incident.incident_id, Thread())
        revision = before.revision + 1
        told = Alert(
            alert_id=alert_id(incident.incident_id, revision),
            incident_id=incident.incident_id,
            revision=revision,
            kind=kind,
            state=state,
            severity=incident.severity if kind == incident.kind and state in ("firing", "updated") else "info",
            owner=self.pipeline.owner,
            model=self.pipeline.model.name,
            version=incident.version or None,
            digest=incident.digest or None,
            subject=Subject(type=_SUBJECTS[incident.kind], name=incident.subject),
            cut=self.cut.offsets,
            replay=_replay(self.cut.offsets),
            at_us=self.cut.at_us,
            correlation_id=incident.incident_id,
            causation_id=before.alert_id,
        )
        self.threads[incident.incident_id] = Thread(revision, told.alert_id)
        if len(self.threads) > THREADS_MAX:
            del self.threads[next(iter(self.threads))]
        return Draft(self, told)


@dataclass(frozen=True, slots=True)
class Draft:
    """An alert that its facts are still added to."""

    speaker: Speaker
    alert: Alert

    def with_(self, **facts: object) -> None:
        """Say it, with these fields of an Alert."""
        self.speaker.said.append(msgspec.structs.replace(self.alert, **facts))


_SUBJECTS = {"drift": "view", "quality": "view", "performance": "label", "serving": "artifact", "retrain": "model"}


def _replay(offsets: Offsets) -> str | None:
    """Return commands that read, with any Kafka client's tool, exactly what the cut added."""
    return (
        "; ".join(
            f"kcat -C -t {topic} -p {partition} -o {first} -c {end - first}"
            for topic, partitions in sorted(offsets.items())
            for partition, (first, end) in sorted(partitions.items())
            if end > first
        )
        or None
    )
