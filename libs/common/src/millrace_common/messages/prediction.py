"""Prediction: one served answer."""

from typing import ClassVar, Literal

from millrace_common.messages._base import Message, Position, Scalar, Value


class GroupFacts(Value, frozen=True, kw_only=True):
    """What a prediction knew of one feature group; the skew meter recomputes it from `source`."""

    status: Literal["fresh", "stale", "missing", "defaulted"]
    age_ms: int | None = None
    source: Position | None = None


class Attribution(Value, frozen=True, kw_only=True):
    """One column's share of a score."""

    name: str
    value: float


class Prediction(Message, frozen=True, kw_only=True, tag="millrace.prediction.v1"):
    """One served answer. Of one prediction_id the first by offset counts. `latency_us` is null on the virtual clock."""

    topic: ClassVar[str] = "predictions"
    id_field: ClassVar[str] = "prediction_id"
    time_field: ClassVar[str] = "at_us"

    prediction_id: str
    model: str
    version: str
    digest: str
    epoch: int
    role: Literal["answer", "shadow"]
    arm: str
    propensity: float
    via: Literal["stream", "predict", "infer", "batch"]
    outcome: Literal["ok", "error"]
    error: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    row_id: str | None = None
    entities: dict[str, str]
    at_us: int
    served_us: int
    score: float | tuple[float, ...] | None = None
    decision: Scalar = None
    threshold: float | None = None
    view_hash: str
    vector: tuple[float | str | None, ...] | None = None
    vector_rate: float
    groups: dict[str, GroupFacts]
    attributions: tuple[Attribution, ...] | None = None
    flags: tuple[str, ...] = ()
    latency_us: int | None = None
    caller: str | None = None
    segment: dict[str, Scalar] | None = None
    spine_entity_id: str | None = None

    @property
    def key(self) -> str:
        """Return the spine entity's id, else the prediction's own."""
        return self.spine_entity_id or self.prediction_id
