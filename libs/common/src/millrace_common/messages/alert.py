"""Alert: a state change worth telling, down to the offsets it was computed from."""

from typing import ClassVar, Literal

from millrace_common.messages._base import Message, Offsets, Value

Kind = Literal[
    "drift",
    "quality",
    "performance",
    "skew",
    "freshness",
    "fairness",
    "serving",
    "accounting",
    "retrain",
    "loop",
    "heartbeat",
]


class Subject(Value, frozen=True, kw_only=True):
    """What an alert is about: a feature, the score, a segment, a topic."""

    type: str
    name: str


class Window(Value, frozen=True, kw_only=True):
    """The records that were looked at together, by event time."""

    start_us: int
    end_us: int
    n: int
    late: int = 0


class Evidence(Value, frozen=True, kw_only=True):
    """The number that spoke, what it was held against, and the false alarms that this allows."""

    detector: str
    value: float
    limit: float
    budget: str | None = None


class Item(Value, frozen=True, kw_only=True):
    """One ranked statistic of an alert."""

    name: str
    statistic: str
    value: float
    limit: float
    p: float | None = None
    rank: int
    importance: float | None = None
    owner: str | None = None


class Impact(Value, frozen=True, kw_only=True):
    """What it costs: a metric before and after."""

    metric: str
    before: float | None = None
    after: float | None = None
    kind: Literal["realised", "estimated"] = "realised"


class ChangePoint(Value, frozen=True, kw_only=True):
    """When and where it began."""

    time_us: int
    offsets: Offsets


class Cause(Value, frozen=True, kw_only=True):
    """One cause and its share."""

    cause: str
    share: float
    segment: str | None = None


class Report(Value, frozen=True, kw_only=True):
    """A longer account in the artifact store."""

    uri: str
    digest: str


class Retrain(Value, frozen=True, kw_only=True):
    """What the trainer is asked for."""

    request_id: str
    reason: str
    base_digest: str | None = None
    train_from: Offsets | None = None
    rows_min: int
    deadline_us: int | None = None


class Loop(Value, frozen=True, kw_only=True):
    """The closed loop's clock."""

    changed_us: int | None
    detected_us: int
    requested_us: int
    candidate_us: int
    promoted_us: int
    first_prediction_us: int
    from_version: str
    to_version: str


class Alert(Message, frozen=True, kw_only=True, tag="millrace.alert.v1"):
    """One revision of an incident."""

    topic: ClassVar[str] = "drift-alerts"
    id_field: ClassVar[str] = "alert_id"
    time_field: ClassVar[str] = "at_us"

    alert_id: str
    incident_id: str
    revision: int
    kind: Kind
    state: Literal["firing", "updated", "resolved", "requested", "closed"]
    severity: Literal["info", "warning", "error", "fatal"]
    owner: str | None = None
    model: str | None = None
    event_type: str | None = None
    version: str | None = None
    digest: str | None = None
    segment: str | None = None
    subject: Subject | None = None
    window: Window | None = None
    cut: Offsets
    state_digest: str | None = None
    evidence: Evidence | None = None
    items: tuple[Item, ...] = ()
    impact: Impact | None = None
    change_point: ChangePoint | None = None
    causes: tuple[Cause, ...] = ()
    verdict: Literal["model", "platform"] | None = None
    report: Report | None = None
    retrain: Retrain | None = None
    loop: Loop | None = None
    replay: str | None = None
    at_us: int

    @property
    def key(self) -> str:
        """Return the model's name, else the event type."""
        return self.model or self.event_type or ""
