"""The slow, obvious oracle of entity state: it keeps everything, and looks at all of it for every answer."""

import functools
import operator
from dataclasses import dataclass, field

import numpy as np

from millrace.spec import EventSpec, FeatureSpec, FieldRef, GroupSpec, Op, Scalar


@dataclass(frozen=True)
class Past:
    """One counted event."""

    event_id: str
    type: str
    time_us: int
    fields: dict[str, Scalar]


@dataclass
class Oracle:
    """One entity, as the frozen semantics say it: every counted event, in log order, for ever."""

    groups: tuple[GroupSpec, ...]
    counted: list[Past] = field(default_factory=list)

    def newest(self, type_: str) -> int | None:
        """Return the newest counted event time of a type."""
        return max((past.time_us for past in self.counted if past.type == type_), default=None)

    def verdict(self, spec: EventSpec, event_id: str, time_us: int) -> str:
        """Judge an event: a duplicate of one within `dedupe_us` and the last 1,024, or late, or counted."""
        newest = self.newest(spec.type)
        if newest is None:
            return "counted"
        same = [past for past in self.counted if past.type == spec.type][-1_024:]
        if event_id in [past.event_id for past in same if past.time_us >= newest - spec.dedupe_us]:
            return "duplicate"
        return "late" if time_us < newest - spec.lateness_us else "counted"

    def rows(self, time_us: int, current: Past | None) -> dict[str, dict[str, Scalar]]:
        """Return every group at a time."""
        return {
            group.key: {feature.name: self.value(group, feature, time_us, current) for feature in group.features}
            for group in self.groups
        }

    def value(self, group: GroupSpec, feature: FeatureSpec, at_us: int, current: Past | None) -> Scalar:
        """Return one feature: of the group's events in [at - window, at), and of the current one where included."""
        since = -(10**18) if feature.window_us is None else at_us - feature.window_us
        seen = [past for past in self.counted if past.type == group.event and since <= past.time_us < at_us]
        if feature.include_current and current is not None and current.type == group.event:
            seen.append(current)
        seen = [past for past in seen if feature.where is None or _holds(feature.where, past)]
        if feature.argument is None:
            return len(seen)
        assert isinstance(feature.argument, FieldRef)
        numbers = [past.fields[feature.argument.name] for past in seen]
        return AGGREGATES[feature.op]([float(x) for x in numbers if x is not None], feature.n)


def _holds(where: object, past: Past) -> bool:
    assert isinstance(where, Op)
    assert where.name == "gt"
    amount = past.fields["amount"]
    return amount is not None and float(amount) > 5.0


def count(xs: list[float], n: int) -> Scalar:
    """Count."""
    return len(xs)


def total(xs: list[float], n: int) -> Scalar:
    """Add from left to right."""
    return _single(functools.reduce(operator.add, xs, 0.0))


def mean(xs: list[float], n: int) -> Scalar:
    """Divide the sum by the count."""
    return _single(functools.reduce(operator.add, xs, 0.0) / len(xs)) if xs else None


def least(xs: list[float], n: int) -> Scalar:
    """Sort, take the first."""
    return _single(sorted(xs)[0]) if xs else None


def greatest(xs: list[float], n: int) -> Scalar:
    """Sort, take the last."""
    return _single(sorted(xs)[-1]) if xs else None


def last(xs: list[float], n: int) -> Scalar:
    """Count n back from the end."""
    return _single(list(reversed(xs))[n - 1]) if len(xs) >= n else None


def _single(x: float) -> Scalar:
    return float(np.float32(x)) if abs(x) <= float(np.finfo(np.float32).max) else None


AGGREGATES = {"count": count, "sum": total, "mean": mean, "min": least, "max": greatest, "last": last}
