"""Feature groups: the features of one entity, computed from one stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal

from millrace.events import Event
from millrace.expressions import AnyExpression, Condition, Expression, T_co
from millrace.places import Place, here

AggregateName = Literal["count", "sum", "mean", "min", "max", "last", "distinct", "decayed_sum"]


class Aggregate(Generic[T_co]):
    """What to compute; `over` says of which windows."""

    def __init__(
        self, op: AggregateName, argument: AnyExpression | None, *, where: Condition | None, include_current: bool
    ) -> None:
        self.op = op
        self.argument = argument
        self.where = where
        self.include_current = include_current
        self.place = here()

    def over(self, *windows: str) -> "Windowed[T_co]":
        """Return one feature for each window (`"10m"`, `"24h"`): `<name>_10m`, `<name>_24h`."""
        return Windowed(self, windows)


class _Source:
    """Something in a group's body that gives features: it learns its name and its group."""

    def __init__(self) -> None:
        self.place = here()
        self.name = ""
        self.group: type[FeatureGroup] | None = None

    def __set_name__(self, owner: "type[FeatureGroup]", name: str) -> None:
        self.group, self.name = owner, name


class Windowed(_Source, Generic[T_co]):
    """One aggregate over several windows: several features. `CardSpend.mean["24h"]` is one of them."""

    def __init__(self, aggregate: Aggregate[T_co], windows: tuple[str, ...]) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.windows = windows

    def __getitem__(self, window: str) -> Expression[T_co]:
        """Return the feature over `window`."""
        return Feature(self, window, here())

    @property
    def features(self) -> "tuple[Feature[T_co], ...]":
        """Return the feature of each window."""
        return tuple(Feature(self, window, self.place) for window in self.windows)


class Last(_Source):
    """The last values of a number. `CardSpend.last3[1]` is the newest."""

    def __init__(self, argument: AnyExpression, n: int, *, where: Condition | None, include_current: bool) -> None:
        super().__init__()
        self.argument = argument
        self.n = n
        self.where = where
        self.include_current = include_current

    def __getitem__(self, place: int) -> Expression[float]:
        """Return the value `place` events back: 1 is the newest."""
        return Feature(self, str(place), here())

    @property
    def features(self) -> "tuple[Feature[float], ...]":
        """Return the feature of each place, the newest first."""
        return tuple(Feature(self, str(nth), self.place) for nth in range(1, self.n + 1))


class Feature(Expression[T_co]):
    """One feature of a group."""

    def __init__(self, source: Windowed[T_co] | Last, suffix: str, place: Place) -> None:
        self.place = place
        self.source = source
        self.suffix = suffix


@dataclass(frozen=True, slots=True)
class GroupDeclaration:
    """What stands in the class line, and the aggregates of the body in order."""

    on: type[Event]
    by: tuple[str, ...]
    place: Place
    aggregates: Mapping[str, "Windowed[object] | Last | Aggregate[object]"]


class FeatureGroup:
    """Features of one entity from one event class: `class CardSpend(FeatureGroup, on=Transaction, by="card")`.

    `by` names the fields that make the entity, in order. The event's own entity needs nothing more; for another entity
    the events are copied to a topic of its own.
    """

    __declared__: ClassVar[GroupDeclaration]

    def __init_subclass__(cls, *, on: type[Event], by: str | tuple[str, ...]) -> None:
        super().__init_subclass__()
        if not (isinstance(on, type) and issubclass(on, Event)):
            raise TypeError(f"{cls.__name__} is on {on!r}; give it a class of events: on=Sale")
        aggregates = {
            name: value for name, value in vars(cls).items() if isinstance(value, Windowed | Last | Aggregate)
        }
        cls.__declared__ = GroupDeclaration(on, (by,) if isinstance(by, str) else tuple(by), here(), aggregates)
