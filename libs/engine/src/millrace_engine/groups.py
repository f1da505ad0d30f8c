"""A feature group, compiled: events to a ring, a ring to values, what the store holds to an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from millrace.spec import Const, Expr, FeatureSpec, FieldRef, GroupSpec, Scalar
from millrace_engine.aggregates import AGGREGATES, MISSING, Aggregate, present
from millrace_engine.expressions import compile_scalar
from millrace_engine.rings import ALWAYS_US, NEVER_US, Ring
from millrace_engine.values import COPIES, Header, Unreadable, float32, open_ring, open_value, pack

Scope = Callable[[Mapping[str, Mapping[str, Scalar]], Mapping[str, Scalar]], Scalar]
Status = Literal["fresh", "stale", "missing"]


class GroupValues(NamedTuple):
    """What the store knows of a group at a time.

    `stale`: the time asked for lies so far before the newest event that the past it needs has been dropped. `missing`:
    nothing is stored; the values are those of an entity without events, as its first row has them.
    """

    values: dict[str, Scalar]
    status: Status
    age_ms: int | None
    source: tuple[str, int, int] | None
    """Topic, partition, offset of the newest event that went in."""


class _Feature(NamedTuple):
    """One feature: which window, which columns of the ring, which aggregate."""

    name: str
    aggregate: Aggregate
    window_us: int | None
    argument: int | None
    where: int | None
    n: int
    include_current: bool
    counts: bool


def compile_group(spec: GroupSpec) -> "Group":
    """Compile a group. Raises ValueError naming a feature that cannot be computed."""
    expressions: list[Expr] = []

    def column(expression: Expr | None) -> int | None:
        if expression is None:
            return None
        if expression not in expressions:
            expressions.append(expression)
        return expressions.index(expression)

    features = []
    for feature in spec.features:
        _check(spec, feature)
        argument, where = column(feature.argument), column(feature.where)
        aggregate = AGGREGATES[feature.op]
        features.append(
            _Feature(
                feature.name,
                aggregate,
                feature.window_us,
                argument,
                where,
                feature.n,
                feature.include_current,
                feature.op == "count",
            )
        )
    return Group(spec, tuple(features), tuple(compile_scalar(expression) for expression in expressions))


def _check(spec: GroupSpec, feature: FeatureSpec) -> None:
    if feature.op != "count" and feature.argument is None:
        raise ValueError(f"{spec.name}.{feature.name}: {feature.op} needs an argument")
    if isinstance(feature.argument, FieldRef | Const) and _is_text(feature.argument) and feature.op != "count":
        raise ValueError(f"{spec.name}.{feature.name}: {feature.op} of text is not supported")
    if feature.window_us is None and feature.op != "last":
        raise ValueError(f"{spec.name}.{feature.name}: {feature.op} needs a window")


def _is_text(expression: FieldRef | Const) -> bool:
    return expression.dtype == "str" if isinstance(expression, FieldRef) else isinstance(expression.value, str)


def _number(value: Scalar) -> float:
    """Return what a ring keeps of a value: text is only ever counted."""
    if value is None:
        return MISSING
    return 1.0 if isinstance(value, str) else float(value)


@dataclass(frozen=True, slots=True)
class Group:
    """One compiled group. The values of a row and of the store are float32, so that both give a model the same bits."""

    spec: GroupSpec
    features: tuple[_Feature, ...]
    expressions: tuple[Scope, ...]

    @property
    def window_us(self) -> int:
        """Return the longest window; 0 where no feature has one."""
        return max((feature.window_us or 0 for feature in self.features), default=0)

    def empty(self) -> Ring:
        """Return the ring of an entity without events."""
        return Ring.empty(len(self.expressions))

    def arguments(self, fields: Mapping[str, Scalar]) -> list[float]:
        """Return what the ring keeps of an event beside its time."""
        return [_number(expression({}, fields)) for expression in self.expressions]

    def values(self, ring: Ring, at_us: int, current: Sequence[float] | None = None) -> dict[str, Scalar]:
        """Return the features at `at_us`: of the events before it, and of `current` where a feature includes it."""
        _, numbers = float32(self._aggregate(ring, at_us, current))
        return self._named(numbers)

    def trim(self, ring: Ring, floor_us: int) -> None:
        """Forget what no row from `floor_us` on can need: the rule of the settle model, and `last` without a window.

        A feature without a window sees, of the events before the floor, only its newest n.
        """
        oldest = floor_us - self.window_us
        needed = {i for i, time in enumerate(ring.times) if time >= oldest}
        if len(needed) == len(ring.times):
            return
        before = [i for i, time in enumerate(ring.times) if time < floor_us]
        for feature in self.features:
            if feature.window_us is None:
                needed.update(self._taken(feature, ring, before)[-feature.n :])
        ring.keep(sorted(needed))

    def encode(self, ring: Ring, header: Header) -> bytes:
        """Return the value to store; the header's `fresh_until_us` is filled in here."""
        at_us = header.event_time_us + 1
        vector, _ = float32(self._aggregate(ring, at_us, None))
        fresh = header._replace(fresh_until_us=self._fresh_until(ring, at_us))
        return pack(fresh, vector, ring)

    def decode(self, value: bytes) -> Ring:
        """Return the ring of a stored value. Raises Unreadable."""
        return open_ring(open_value(value, features=len(self.features)), width=len(self.expressions))

    def read(self, value: bytes | None, at_us: int, *, current: Mapping[str, Scalar] | None = None) -> GroupValues:
        """Return what a stored value says at `at_us`; windows decay also where nothing was written since.

        `current` are the fields of the event being asked about, for the features that include it.
        """
        wanted = current is not None and any(feature.include_current for feature in self.features)
        arguments = self.arguments(current) if wanted and current is not None else None
        if value is None:
            return GroupValues(self.values(self.empty(), at_us, arguments), "missing", None, None)
        opened = open_value(value, features=len(self.features))
        header = opened.header
        if header.event_time_us < at_us <= header.fresh_until_us and arguments is None:
            values = self._named(opened.vector)
        else:
            values = self.values(open_ring(opened, width=len(self.expressions)), at_us, arguments)
        topic = f"raw-data.by-{self.spec.entity_type}" if header.flags & COPIES else "raw-data"
        return GroupValues(
            values,
            "stale" if at_us < header.exact_from_us else "fresh",
            max(0, at_us - header.event_time_us) // 1_000,
            (topic, header.partition, header.offset),
        )

    def _aggregate(self, ring: Ring, at_us: int, current: Sequence[float] | None) -> list[float]:
        windows: dict[int | None, list[int]] = {}
        numbers = []
        for feature in self.features:
            window = feature.window_us
            if window not in windows:
                windows[window] = ring.within(NEVER_US if window is None else at_us - window, at_us)
            places = self._taken(feature, ring, windows[window])
            taken = (
                [1.0] * len(places) if feature.argument is None else [ring.columns[feature.argument][i] for i in places]
            )
            if feature.include_current and current is not None:
                taken += self._taken_now(feature, current)
            numbers.append(feature.aggregate(taken, feature.n))
        return numbers

    @staticmethod
    def _taken(feature: _Feature, ring: Ring, places: Sequence[int]) -> list[int]:
        """Return the places whose event passes `where` and has the argument."""
        if feature.where is not None:
            where = ring.columns[feature.where]
            places = [i for i in places if where[i] == 1.0]
        if feature.argument is not None:
            argument = ring.columns[feature.argument]
            places = [i for i in places if argument[i] == argument[i]]
        return list(places)

    @staticmethod
    def _taken_now(feature: _Feature, current: Sequence[float]) -> list[float]:
        if feature.where is not None and current[feature.where] != 1.0:
            return []
        return [1.0] if feature.argument is None else present([current[feature.argument]])

    def _named(self, numbers: Sequence[float]) -> dict[str, Scalar]:
        return {
            feature.name: (int(number) if feature.counts else number) if number == number else None
            for feature, number in zip(self.features, numbers, strict=True)
        }

    def _fresh_until(self, ring: Ring, at_us: int) -> int:
        """Return the last time at which every window still holds what it holds at `at_us`."""
        windows = {feature.window_us for feature in self.features if feature.window_us is not None}
        ends = (time + window for window in windows for time in ring.times if at_us - window <= time < at_us)
        return min(ends, default=ALWAYS_US)


__all__ = ["Group", "GroupValues", "Status", "Unreadable", "compile_group"]
