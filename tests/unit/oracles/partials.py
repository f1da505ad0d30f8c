"""Every aggregate, the obvious way: what it keeps of values, one value at a time, and how two of them become one.

`at_us` is the instant that weights refer to: the end of a tile, or the time that is asked about. The others ignore it.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from tests.unit.oracles.sketches import bucket, estimated, hashed, rank_of, sketched

from millrace.custom import resolve
from millrace.spec import FeatureSpec

SECOND_US = 1e6


class Partial(ABC):
    """What is kept of some values."""

    @abstractmethod
    def add(self, value: float, time_us: int, at_us: int) -> None:
        """Take one value in."""

    @abstractmethod
    def merge(self, other: Self, since_us: int) -> None:
        """Take in what a tile holds that ended `since_us` before the time asked about."""

    @abstractmethod
    def value(self) -> float | None:
        """Return what it comes to; None: missing."""


@dataclass
class Count(Partial):
    """How many."""

    n: int = 0

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.n += 1

    def merge(self, other: Self, since_us: int) -> None:
        self.n += other.n

    def value(self) -> float | None:
        return float(self.n)


@dataclass
class Rate(Count):
    """How many a second of the window."""

    window_us: int = 0

    def value(self) -> float | None:
        return self.n / (self.window_us / SECOND_US)


@dataclass
class Total(Partial):
    """The sum, from left to right."""

    s: float = 0.0

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.s = self.s + value

    def merge(self, other: Self, since_us: int) -> None:
        self.s = self.s + other.s

    def value(self) -> float | None:
        return self.s


@dataclass
class Mean(Partial):
    """The sum over the count."""

    n: int = 0
    s: float = 0.0

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.n, self.s = self.n + 1, self.s + value

    def merge(self, other: Self, since_us: int) -> None:
        self.n, self.s = self.n + other.n, self.s + other.s

    def value(self) -> float | None:
        return self.s / self.n if self.n else None


@dataclass
class Least(Partial):
    """The least."""

    v: float | None = None

    def add(self, value: float, time_us: int, at_us: int) -> None:
        if self.v is None or value < self.v:
            self.v = value

    def merge(self, other: Self, since_us: int) -> None:
        if other.v is not None:
            self.add(other.v, 0, 0)

    def value(self) -> float | None:
        return self.v


@dataclass
class Greatest(Least):
    """The greatest."""

    def add(self, value: float, time_us: int, at_us: int) -> None:
        if self.v is None or value > self.v:
            self.v = value


@dataclass
class Variance(Partial):
    """Welford's update, Chan's merge; of the population."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    is_rooted: bool = False

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.n += 1
        d = value - self.mean
        self.mean = self.mean + d / self.n
        self.m2 = self.m2 + d * (value - self.mean)

    def merge(self, other: Self, since_us: int) -> None:
        if other.n == 0:
            return
        if self.n == 0:
            self.n, self.mean, self.m2 = other.n, other.mean, other.m2
            return
        n, d = self.n + other.n, other.mean - self.mean
        self.mean = self.mean + d * other.n / n
        self.m2 = self.m2 + other.m2 + d * d * self.n * other.n / n
        self.n = n

    def value(self) -> float | None:
        if not self.n:
            return None
        variance = self.m2 / self.n
        if not self.is_rooted:
            return variance
        return math.sqrt(variance) if variance >= 0 else None


@dataclass
class First(Partial):
    """The value of the least time; of several the first in the log."""

    time_us: int | None = None
    v: float | None = None

    def add(self, value: float, time_us: int, at_us: int) -> None:
        if self.time_us is None or time_us < self.time_us:
            self.time_us, self.v = time_us, value

    def merge(self, other: Self, since_us: int) -> None:
        if other.time_us is not None and other.v is not None:
            self.add(other.v, other.time_us, 0)

    def value(self) -> float | None:
        return self.v


@dataclass
class Distinct(Partial):
    """How many different ones."""

    hashes: set[int] = field(default_factory=set)

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.hashes.add(hashed(value))

    def merge(self, other: Self, since_us: int) -> None:
        self.hashes |= other.hashes

    def value(self) -> float | None:
        return estimated(self.hashes)


@dataclass
class Quantile(Partial):
    """The smallest value whose rank is not below q * n: exact, unless some of it comes from tiles."""

    q: float
    values: list[float] = field(default_factory=list)
    tiles: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.values.append(value)

    def merge(self, other: Self, since_us: int) -> None:
        self.tiles.update(other.tiles)
        self.tiles.update(bucket(value) for value in other.values)

    def value(self) -> float | None:
        if self.tiles:
            return sketched(self.tiles + Counter(bucket(value) for value in self.values), self.q)
        return sorted(self.values)[rank_of(self.q, len(self.values)) - 1] if self.values else None


@dataclass
class Decayed(Partial):
    """Sums whose parts halve with every half-life."""

    half_life_us: int
    is_mean: bool = False
    n: int = 0
    w: float = 0.0
    s: float = 0.0

    def add(self, value: float, time_us: int, at_us: int) -> None:
        weight = self._weight(at_us - time_us)
        self.n, self.w, self.s = self.n + 1, self.w + weight, self.s + value * weight

    def merge(self, other: Self, since_us: int) -> None:
        weight = self._weight(since_us)
        self.n, self.w, self.s = self.n + other.n, self.w + other.w * weight, self.s + other.s * weight

    def value(self) -> float | None:
        if not self.is_mean:
            return self.s
        return self.s / self.w if self.n and self.w else None

    def _weight(self, age_us: int) -> float:
        return math.exp2(-(age_us / self.half_life_us))


@dataclass
class Custom(Partial):
    """All values of a team's own aggregate: its oracle says what they come to. Their order is that of merging."""

    path: str
    values: list[float] = field(default_factory=list)

    def add(self, value: float, time_us: int, at_us: int) -> None:
        self.values.append(value)

    def merge(self, other: Self, since_us: int) -> None:
        self.values += other.values

    def value(self) -> float | None:
        return resolve(self.path).oracle(self.values)


def empty(feature: FeatureSpec, window_us: int | None) -> Partial:
    """Return what is kept of no values. `window_us` is the feature's, or the one that its half-life implies."""
    half_life_us, q = feature.half_life_us or 0, feature.q or 0.0
    kinds: dict[str, Callable[[], Partial]] = {
        "count": Count,
        "rate": lambda: Rate(window_us=window_us or 0),
        "sum": Total,
        "mean": Mean,
        "ratio": Mean,
        "min": Least,
        "max": Greatest,
        "var": Variance,
        "std": lambda: Variance(is_rooted=True),
        "first": First,
        "distinct": Distinct,
        "quantile": lambda: Quantile(q),
        "custom": lambda: Custom(feature.custom or ""),
        "decayed_sum": lambda: Decayed(half_life_us),
        "decayed_mean": lambda: Decayed(half_life_us, is_mean=True),
    }
    return kinds[feature.op]()
