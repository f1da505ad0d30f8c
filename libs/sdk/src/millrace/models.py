"""Label, model and pipeline: what is predicted, from what, and by which rules it is kept right."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from millrace.events import Event
from millrace.expressions import Condition, Number, OneHot
from millrace.files import FileSource
from millrace.groups import FeatureGroup, Last, Windowed
from millrace.places import Place, here
from millrace.policies import DEFAULT_GATES, Direct, Drift, Gate, Retrain, Rollout
from millrace.spec import Scalar

ViewItem = type[FeatureGroup] | Windowed[float] | Last | Number | OneHot
"""A whole group, one aggregate over all its windows, one feature, event field or derived value, or several columns."""


@dataclass(frozen=True, eq=False)
class Label:
    """The truth about an event, seen in a later event that refers to it.

    `value` is what the later event says: a constant or one of its fields. An event for which none has come
    `matures_after` its time is given `default`; without a default it stays unlabelled.
    """

    event: type[Event]
    _: KW_ONLY
    seen_in: type[Event]
    value: Condition | bool
    matures_after: str
    default: bool | None = None
    name: str | None = None
    """Without one, the variable's name in snake case."""
    place: Place = field(default_factory=here, init=False)


class Estimator:
    """What fits a model."""

    name: str

    def __init__(self, **params: Scalar) -> None:
        self.params: Mapping[str, Scalar] = params
        self.place = here()


class LightGBM(Estimator):
    """Gradient-boosted trees; parameters by LightGBM's own names."""

    name = "lightgbm"


class Logistic(Estimator):
    """Logistic regression on standardised columns; parameters by scikit-learn's names."""

    name = "logistic"


@dataclass(frozen=True, eq=False)
class Model:
    """What a model takes, what it predicts, and how it is fitted.

    `bootstrap`: labelled rows before the first training. `train_rows`: learn from the newest so many; None: from all.
    `score`: predict each event of the stream, only requests over HTTP, or both. `missing`: what serving does where a
    group has no fresh value. `training_takes`: the virtual time of a training in a backtest.
    """

    _: KW_ONLY
    view: Sequence[ViewItem]
    label: Label
    estimator: Estimator = field(default_factory=LightGBM)
    objective: Literal["binary"] = "binary"
    bootstrap: int = 1_000
    train_rows: int | None = None
    score: Literal["stream", "request", "both"] = "both"
    missing: Literal["fail", "default", "last"] = "default"
    training_takes: str = "60s"
    seed: int = 0
    name: str | None = None
    """Without one, the pipeline's name."""
    place: Place = field(default_factory=here, init=False)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """One model and the rules that keep it right: its gates, its rollout, what is watched and when it is renewed."""

    name: str
    _: KW_ONLY
    model: Model
    gates: Sequence[Gate] = DEFAULT_GATES
    rollout: Rollout = field(default_factory=Direct)
    drift: Drift = field(default_factory=Drift)
    retrain: Retrain = field(default_factory=Retrain)
    source: FileSource | None = None
    owner: str | None = None
    place: Place = field(default_factory=here, init=False)
