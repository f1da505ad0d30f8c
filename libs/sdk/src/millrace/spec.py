"""A deployment as data: what the declarations of a team's file come to, once checked.

These are the shapes that the engine compiles and every service reads. Times are integers in microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.features import AggregateOp, ColumnSpec, FeatureSpec, GroupSpec, ViewSpec
from millrace.trees import Column, Const, Dtype, Expr, FeatureRef, FieldRef, FileExpr, FileOp, Op, OpName, Scalar

__all__ = [
    "AggregateOp",
    "Column",
    "ColumnSpec",
    "Const",
    "Deployment",
    "DriftSpec",
    "Dtype",
    "EstimatorSpec",
    "EventSpec",
    "Expr",
    "FeatureRef",
    "FeatureSpec",
    "FieldRef",
    "FieldSpec",
    "FileEventSpec",
    "FileExpr",
    "FileOp",
    "FileSourceSpec",
    "GateSpec",
    "GroupSpec",
    "LabelSpec",
    "ModelSpec",
    "Op",
    "OpName",
    "PipelineSpec",
    "RetrainSpec",
    "Role",
    "RolloutSpec",
    "Scalar",
    "TrainingSpec",
    "ViewSpec",
]

Role = Literal["plain", "id", "entity", "time", "refers"]


# --- events and labels -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of an event's contract."""

    name: str
    dtype: Dtype
    role: Role = "plain"
    optional: bool = False
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    pii: Literal["hash"] | None = None


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event class. Its key is its entity fields in order, or, where it refers to another event, that event's id."""

    type: str
    class_name: str
    version: int
    fields: tuple[FieldSpec, ...]
    id_field: str | None
    entity_fields: tuple[str, ...]
    time_field: str
    refers_field: str | None = None
    refers_to: str | None = None
    lateness_us: int = 0
    max_future_us: int = 30_000_000
    dedupe_us: int = 86_400_000_000

    @property
    def entity_type(self) -> str:
        """Return the entity type: the entity fields joined by `_`; of an event that refers, its own type."""
        return self.type if self.refers_to else "_".join(self.entity_fields)


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """The truth about events of type `event`, seen in later events of type `seen_in`.

    `value` is evaluated on the later event. `default` counts once `matures_after_us` has passed without one; None: an
    event without a label is never labelled.
    """

    name: str
    event: str
    seen_in: str
    value: Expr
    default: Scalar
    matures_after_us: int


# --- the model and its policies --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class EstimatorSpec:
    """What fits: `lightgbm`, `logistic`, or a team's own by import path; parameters by their library's names."""

    name: str
    params: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """How much to learn from, and where a validation begins."""

    bootstrap_rows: int = 1_000
    rows_max: int | None = None
    """Learn from the newest labelled rows only; None: all."""
    tune_share: float = 0.15
    gate_share: float = 0.2
    takes_us: int = 60_000_000
    """Virtual time of a run in a backtest."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model."""

    name: str
    view: ViewSpec
    label: LabelSpec
    estimator: EstimatorSpec
    objective: Literal["binary"]
    score: Literal["stream", "request", "both"]
    training: TrainingSpec
    missing: Literal["fail", "default", "last"] = "default"
    """When a feature group is stale or missing, serving refuses, serves missing values, or serves what it has."""


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One offline check by its name, with its limits; a warning gate does not block."""

    name: Literal["integrity", "lineage", "schema", "parity", "floor", "non_inferior"]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """How a candidate that passed its gates comes to serve."""

    mode: Literal["direct"] = "direct"


@dataclass(frozen=True, slots=True)
class DriftSpec:
    """What the monitor holds against what. `windows_per_false_page` is the pager's stated false-alarm budget."""

    window_us: int
    window_rows_min: int = 100
    windows_per_false_page: float = 2_000.0
    labels_per_false_alarm: float = 100_000.0


@dataclass(frozen=True, slots=True)
class RetrainSpec:
    """When the monitor asks for a new model. Rows are labelled rows."""

    on_drift: bool = False
    on_performance: bool = True
    every_rows: int | None = None
    every_us: int | None = None
    rows_min: int = 500
    """Labelled rows after the change that a request waits for."""


@dataclass(frozen=True, slots=True)
class FileEventSpec:
    """Events of one type out of a file's rows: an expression on columns for each field."""

    event: str
    fields: Mapping[str, FileExpr]
    delay_us: int = 0
    where: FileExpr | None = None


@dataclass(frozen=True, slots=True)
class FileSourceSpec:
    """How rows of a file become events; the first spec's event carries the row, later ones refer to it."""

    events: tuple[FileEventSpec, ...]


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One team's definition, checked."""

    name: str
    model: ModelSpec
    gates: tuple[GateSpec, ...]
    rollout: RolloutSpec
    drift: DriftSpec
    retrain: RetrainSpec
    source: FileSourceSpec | None = None
    owner: str | None = None
    policy_hash: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that one set of services runs: the pipelines and what they share. `hash` is of the whole content."""

    events: Mapping[str, EventSpec]
    groups: Mapping[str, GroupSpec]
    labels: Mapping[str, LabelSpec]
    pipelines: Mapping[str, PipelineSpec]
    hash: str

    @property
    def models(self) -> Mapping[str, ModelSpec]:
        """Return the models by name."""
        return {pipeline.model.name: pipeline.model for pipeline in self.pipelines.values()}

    @property
    def repartitioned(self) -> tuple[str, ...]:
        """Return the entity types that are not their event's own and need a topic of their own."""
        return tuple(
            sorted({g.entity_type for g in self.groups.values() if g.by != self.events[g.event].entity_fields})
        )
