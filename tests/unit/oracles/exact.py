"""Exact windows, which the engine's error is measured against: every event is kept, nothing is in tiles or sketches."""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from tests.unit.oracles.partials import SECOND_US
from tests.unit.oracles.sketches import rank_of
from tests.unit.oracles.windows import Entry, Past, taken, window_of

from millrace.custom import resolve
from millrace.spec import FeatureSpec, GroupSpec

Timed = Sequence[tuple[int, float]]
"""Times and values, by time and then log order."""


BACK = 1_000
"""How many events a feature without a window of time can look back over here."""


class ExactGroup:
    """One entity in one group."""

    def __init__(self, spec: GroupSpec) -> None:
        """Begin without events."""
        self.spec = spec
        self.entries: list[Entry] = []

    def enter(self, event: Past) -> None:
        """Take a counted event in."""
        insort(self.entries, self._entry(event), key=lambda entry: entry.time_us)

    def leave(self, event_id: str) -> None:
        """Take an event back."""
        self.entries = [entry for entry in self.entries if entry.event_id != event_id]

    def values(self, at_us: int, current: Past | None = None) -> dict[str, float | None]:
        """Return the group's features at a time, as float64."""
        now = None if current is None else self._entry(current)
        return {feature.name: self._value(i, at_us, now, current) for i, feature in enumerate(self.spec.features)}

    def _entry(self, event: Past) -> Entry:
        return Entry(event.event_id, event.time_us, tuple(taken(feature, event) for feature in self.spec.features))

    def _value(self, i: int, at_us: int, now: Entry | None, current: Past | None) -> float | None:
        feature = self.spec.features[i]
        timed = [
            (entry.time_us, value) for entry in self._seen(feature, at_us, now) if (value := entry.taken[i]) is not None
        ]
        if feature.op == "ratio":
            own = None if current is None else taken(FeatureSpec("", "last", feature.argument, None), current)
            mean = _mean(timed)
            return own / mean if own is not None and mean else None
        return EXACT[feature.op](feature, timed, at_us)

    def _seen(self, feature: FeatureSpec, at_us: int, now: Entry | None) -> list[Entry]:
        window_us = window_of(feature)
        end = bisect_left(self.entries, at_us, key=lambda entry: entry.time_us)
        if window_us is None:
            begin = max(end - BACK, 0)
        else:
            begin = bisect_left(self.entries, at_us - window_us, key=lambda entry: entry.time_us)
        seen = self.entries[begin:end]
        if feature.include_current and now is not None:
            seen.append(now)
        return seen if feature.events is None else seen[-feature.events :]


def _mean(timed: Timed) -> float | None:
    return math.fsum(value for _, value in timed) / len(timed) if timed else None


def _variance(timed: Timed) -> float | None:
    mean = _mean(timed)
    return None if mean is None else math.fsum((value - mean) * (value - mean) for _, value in timed) / len(timed)


def _deviation(timed: Timed) -> float | None:
    variance = _variance(timed)
    return None if variance is None else math.sqrt(variance)


def _quantile(feature: FeatureSpec, timed: Timed) -> float | None:
    values = sorted(value for _, value in timed)
    return values[rank_of(feature.q or 0.0, len(values)) - 1] if values else None


def _weights(feature: FeatureSpec, timed: Timed, at_us: int) -> list[float]:
    assert feature.half_life_us is not None
    return [math.exp2(-(at_us - time_us) / feature.half_life_us) for time_us, _ in timed]


def _decayed_sum(feature: FeatureSpec, timed: Timed, at_us: int) -> float:
    return math.fsum(w * v for w, (_, v) in zip(_weights(feature, timed, at_us), timed, strict=True))


def _decayed_mean(feature: FeatureSpec, timed: Timed, at_us: int) -> float | None:
    return _decayed_sum(feature, timed, at_us) / math.fsum(_weights(feature, timed, at_us)) if timed else None


EXACT: dict[str, Callable[[FeatureSpec, Timed, int], float | None]] = {
    "count": lambda feature, timed, at_us: float(len(timed)),
    "rate": lambda feature, timed, at_us: len(timed) * SECOND_US / (feature.window_us or 0),
    "sum": lambda feature, timed, at_us: math.fsum(value for _, value in timed),
    "mean": lambda feature, timed, at_us: _mean(timed),
    "min": lambda feature, timed, at_us: min((value for _, value in timed), default=None),
    "max": lambda feature, timed, at_us: max((value for _, value in timed), default=None),
    "var": lambda feature, timed, at_us: _variance(timed),
    "std": lambda feature, timed, at_us: _deviation(timed),
    "first": lambda feature, timed, at_us: timed[0][1] if timed else None,
    "last": lambda feature, timed, at_us: timed[-feature.n][1] if len(timed) >= feature.n else None,
    "time_since_last": lambda feature, timed, at_us: (at_us - timed[-1][0]) / SECOND_US if timed else None,
    "distinct": lambda feature, timed, at_us: float(len({value for _, value in timed})),
    "quantile": lambda feature, timed, at_us: _quantile(feature, timed),
    "custom": lambda feature, timed, at_us: resolve(feature.custom or "").oracle([value for _, value in timed]),
    "decayed_sum": _decayed_sum,
    "decayed_mean": _decayed_mean,
}
