"""Feature groups: the features of one entity, computed from one stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Never, Self

from millrace.custom import CustomAggregate
from millrace.events import Event
from millrace.expressions import AnyExpression, Condition, Expression, T_co
from millrace.places import Place, here
from millrace.spec import AggregateOp

LAST_MAX = 64
"""Newest events of an entity that are held as they came: how far back `last` and windows of events can look."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """What an aggregate computes, as written."""

    op: AggregateOp
    argument: AnyExpression | None = None
    where: Condition | None = None
    include_current: bool = False
    n: int = 1
    q: float | None = None
    half_life: str | None = None
    custom: type[CustomAggregate] | None = None
    place: Place = field(default_factory=here)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the features that an aggregate stands for: how its name ends, which value back, over what."""

    suffix: str
    n: int = 1
    window: str | None = None
    events: int | None = None


class Source:
    """Something in a group's body that gives features: it learns its name and its group."""

    def __init__(self, rule: Rule) -> None:
        self.place = here()
        self.rule = rule
        self.name = ""
        self.group: type[FeatureGroup] | None = None

    def __set_name__(self, owner: "type[FeatureGroup]", name: str) -> None:
        self.group, self.name = owner, name

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return what each of its features is over."""
        return (Part(""),)


class Aggregate(Generic[T_co]):
    """What to compute; `over` says of which windows."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.place = rule.place

    def over(self, *windows: str, last: int | None = None) -> "Windowed[T_co]":
        """Return one feature for each window (`"10m"`, `"24h"`), and one over the entity's `last` events.

        They are named `<name>_10m`, `<name>_24h`, `<name>_last10`.
        """
        return Windowed(self.rule, windows, last)


class Windowed(Source, Generic[T_co]):
    """One aggregate over several windows: several features. `CardSpend.mean["24h"]`, `["last10"]` is one of them."""

    def __init__(self, rule: Rule, windows: tuple[str, ...], last: int | None) -> None:
        super().__init__(rule)
        self.windows = windows
        self.last = last

    def __getitem__(self, window: str) -> Expression[T_co]:
        """Return the feature over `window`: what its name ends with, such as `24h` or `last10`."""
        return Feature(self, window, here())

    @property
    def features(self) -> "tuple[Feature[T_co], ...]":
        """Return the feature of each window."""
        return tuple(Feature(self, part.suffix, self.place) for part in self.parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the windows of time and of events; of several values back, each over every window."""
        over = [Part(str(window), 1, window) for window in self.windows]
        over += [] if self.last is None else [Part(f"last{self.last}", 1, None, self.last)]
        if self.rule.n == 1:
            return tuple(over)
        return tuple(
            Part(f"{nth}_{part.suffix}", nth, part.window, part.events) for nth in _places(self.rule) for part in over
        )


class Last(Source):
    """The last values of a number. `CardSpend.last3[1]` is the newest."""

    def __getitem__(self, place: int) -> Expression[float]:
        """Return the value `place` events back: 1 is the newest."""
        return Feature(self, str(place), here())

    def over(self, *windows: str, last: int | None = None) -> Windowed[float]:
        """Look no further back than each window: `<name>_24h`, or of several values `<name>_1_24h`, `<name>_2_24h`."""
        return Windowed(self.rule, windows, last)

    @property
    def features(self) -> "tuple[Feature[float], ...]":
        """Return the feature of each place, the newest first."""
        return tuple(Feature(self, part.suffix, self.place) for part in self.parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the places, the newest first."""
        return tuple(Part(str(nth), nth) for nth in _places(self.rule))


class Feature(Expression[T_co]):
    """One feature of a group."""

    def __init__(self, source: Source, suffix: str, place: Place) -> None:
        self.place = place
        self.source = source
        self.suffix = suffix

    @property
    def full_name(self) -> str:
        """Return the name that it has in its group."""
        return f"{self.source.name}_{self.suffix}" if self.suffix else self.source.name


class Single(Source, Feature[T_co]):
    """An aggregate without windows: one feature, named as it is assigned. `CardSpend.decay` is an expression."""

    def __init__(self, rule: Rule) -> None:
        Source.__init__(self, rule)
        self.source, self.suffix = self, ""
        self.windows: tuple[object, ...] = ()

    def over(self, *windows: Never, last: None = None) -> Self:
        """Take no window: the load refuses it with its line."""
        self.windows = (*windows, last)
        return self


@dataclass(frozen=True, slots=True)
class GroupDeclaration:
    """What stands in the class line, and the aggregates of the body in order."""

    on: type[Event]
    by: tuple[str, ...]
    place: Place
    aggregates: Mapping[str, Source | Aggregate[object] | AnyExpression]
    """A plain expression is none: it stands here so that the load can tell."""


class FeatureGroup:
    """Features of one entity from one event class: `class CardSpend(FeatureGroup, on=Transaction, by="card")`.

    `by` names the fields that make the entity, in order: `by=("card", "merchant")` is an entity of two. The event's own
    entity needs nothing more; for another entity the events are copied to a topic of its own.
    """

    __declared__: ClassVar[GroupDeclaration]

    def __init_subclass__(cls, *, on: type[Event], by: str | tuple[str, ...]) -> None:
        super().__init_subclass__()
        if not (isinstance(on, type) and issubclass(on, Event)):
            raise TypeError(f"{cls.__name__} is on {on!r}; give it a class of events: on=Sale")
        aggregates = {
            name: value for name, value in vars(cls).items() if isinstance(value, Source | Aggregate | Expression)
        }
        cls.__declared__ = GroupDeclaration(on, (by,) if isinstance(by, str) else tuple(by), here(), aggregates)


def _places(rule: Rule) -> range:
    """Return the values back that a rule asks for; none where it asks for what there is not, which the load tells."""
    return range(1, rule.n + 1) if isinstance(rule.n, int) and rule.n <= LAST_MAX else range(0)
