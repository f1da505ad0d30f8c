"""Features as data: aggregates over windows, groups of them, and views that models take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.hashing import ADDED
from millrace.trees import Expr

AggregateOp = Literal[
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "var",
    "std",
    "first",
    "last",
    "distinct",
    "quantile",
    "decayed_sum",
    "decayed_mean",
    "time_since_last",
    "rate",
    "ratio",
    "custom",
]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One aggregate over one window: of time (`window_us`), or of the entity's newest events (`events`).

    Both None: all that is held of the entity's past (`last`, bounded by `n`, and `time_since_last`). A decayed
    aggregate has the window behind which nothing weighs any more.
    """

    name: str
    op: AggregateOp
    argument: Expr | None
    window_us: int | None
    n: int = 1
    where: Expr | None = None
    include_current: bool = False
    events: int | None = field(default=None, metadata=ADDED)
    q: float | None = field(default=None, metadata=ADDED)
    """Which quantile, 0 to 1."""
    half_life_us: int | None = field(default=None, metadata=ADDED)
    custom: str | None = field(default=None, metadata=ADDED)
    """A team's own aggregate, `module:Class` (`op` is `custom`)."""

    @property
    def dtype(self) -> Literal["int", "float"]:
        """Return the type of its values: counts are whole numbers."""
        return "int" if self.op in ("count", "distinct") else "float"


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """Features of one entity computed from one event type. `by` are the event's fields that name the entity."""

    name: str
    event: str
    by: tuple[str, ...]
    features: tuple[FeatureSpec, ...]
    hash: str

    @property
    def entity_type(self) -> str:
        """Return the entity type."""
        return "_".join(self.by)

    @property
    def key(self) -> str:
        """Return the group's name with its content hash, as it stands in rows and Redis keys."""
        return f"{self.name}@{self.hash[:8]}"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One ordered input of a model: a feature of a group (`group` set), a field of the event, or a derived value."""

    name: str
    dtype: Literal["float", "int", "bool"]
    expr: Expr
    group: str | None = None


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """The ordered features a model takes. `groups` maps a group's name to its key."""

    name: str
    event: str
    columns: tuple[ColumnSpec, ...]
    groups: Mapping[str, str]
    hash: str
