"""The rules by which a model is checked, rolled out, watched and renewed."""

import dataclasses
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Literal

from millrace.places import Place, here
from millrace.spec import Scalar

GateName = Literal["integrity", "lineage", "schema", "parity", "floor", "non_inferior"]


# --- gates -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Gate:
    """One offline check of a candidate. `blocking=False`: it warns only."""

    name: ClassVar[GateName]
    _: KW_ONLY
    blocking: bool = True
    place: Place = field(default_factory=here, init=False, repr=False, compare=False)

    @property
    def params(self) -> Mapping[str, Scalar]:
        """Return the gate's limits."""
        ours = {known.name for known in dataclasses.fields(Gate)}
        values = {known.name: getattr(self, known.name) for known in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if name not in ours and value is not None}


@dataclass(frozen=True)
class Integrity(Gate):
    """Every file of the artifact has its stated digest."""

    name = "integrity"


@dataclass(frozen=True)
class Lineage(Gate):
    """The record names the offsets, view, parameters and code that the model came from."""

    name = "lineage"


@dataclass(frozen=True)
class Schema(Gate):
    """The model takes the columns of the deployed view, in order and type."""

    name = "schema"


@dataclass(frozen=True)
class Parity(Gate):
    """The converted model scores the gate rows as the fitted one does."""

    name = "parity"


@dataclass(frozen=True)
class Floor(Gate):
    """The metric on the gate rows is at least this, or above that of always guessing the majority."""

    name = "floor"
    metric: Literal["accuracy"] = "accuracy"
    at_least: float | None = None
    above_majority: bool = False


@dataclass(frozen=True)
class NonInferior(Gate):
    """The candidate is not worse than the champion by more than `margin` of accuracy, on the same rows."""

    name = "non_inferior"
    margin: float = 0.01


DEFAULT_GATES: tuple[Gate, ...] = (
    Integrity(),
    Lineage(),
    Schema(),
    Parity(),
    Floor(above_majority=True),
    NonInferior(margin=0.01),
)


# --- rollouts --------------------------------------------------------------------------------------------------------
class Rollout:
    """How a candidate that passed its gates comes to serve."""

    def __init__(self) -> None:
        self.place = here()


class Direct(Rollout):
    """At once."""


class Shadow(Rollout):
    """Beside the champion, unanswered, first. Not available in this version."""


class Canary(Rollout):
    """On growing shares of the traffic, in percent. Not available in this version."""

    def __init__(self, *percent: int) -> None:
        super().__init__()
        self.percent = percent


class AB(Rollout):
    """On a fixed share until a test decides. Not available in this version."""


class Bandit(Rollout):
    """On shares that follow the outcomes. Not available in this version."""


# --- monitor ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Drift:
    """What the monitor watches: features and score in windows of event time, each of `rows_min` rows or more.

    `budget` is the pager's stated rate of false alarms.
    """

    window: str = "1d"
    _: KW_ONLY
    rows_min: int = 100
    budget: str = "1 false page per 2000 windows"
    labels_per_false_alarm: float = 100_000
    place: Place = field(default_factory=here, init=False)


@dataclass(frozen=True, eq=False)
class Retrain:
    """When the monitor asks for a new model: on drift, on lost accuracy, every so many labelled rows, by the clock.

    A request after a change waits for `rows_min` labelled rows of the time after it.
    """

    _: KW_ONLY
    on_drift: bool = False
    on_performance: bool = True
    every_rows: int | None = None
    every: str | None = None
    rows_min: int = 500
    place: Place = field(default_factory=here, init=False)
