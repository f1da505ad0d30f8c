"""How much better one model is than another on the same rows, and how sure that is.

Each statistic comes with every row's share of its error, so that differences, clusters and time blocks are sums: the
variance of a statistic is the sum of the squared shares of independent groups of rows. With each row a group of its own
the AUC's is DeLong's (computed from midranks: Sun & Xu 2014, IEEE Signal Processing Letters 21); with rows grouped by
entity it is Obuchowski's (1997, Biometrics 53).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from millrace_gatekeeper.core.evidence import Booleans, Floats, Integers

CONFIDENCE = 0.95
POWER = 0.8
ENTITIES_MIN = 30
"""Fewer clusters than this give no usable variance: rows are then grouped into blocks of time."""
ROWS_NEEDED_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic and each row's share of its error; the shares sum to zero."""

    value: float
    shares: Floats

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Return the paired difference of two statistics of the same rows."""
        return Estimate(self.value - other.value, self.shares - other.shares)


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic between its two one-sided 95 % bounds. `quantile` is the Student quantile they were made with."""

    value: float
    error: float
    quantile: float
    n: int

    @property
    def low(self) -> float:
        """Return the lower bound: with 95 % confidence the truth lies above it."""
        return self.value - self.quantile * self.error

    @property
    def high(self) -> float:
        """Return the upper bound."""
        return self.value + self.quantile * self.error

    @property
    def detectable(self) -> float:
        """Return the true distance from a limit that this many rows show with 80 % power."""
        return float(self.quantile + t.ppf(POWER, 1e9)) * self.error

    def rows_needed(self, limit: float) -> int | None:
        """Return how many rows would bring the nearer bound to `limit`, were the value the truth; None: no number."""
        distance = abs(self.value - limit)
        if self.error == 0 or distance == 0:
            return None
        rows = math.ceil(self.n * (self.quantile * self.error / distance) ** 2)
        return rows if rows <= ROWS_NEEDED_MAX else None


def auc(labels: Booleans, scores: Floats) -> Estimate:
    """Return the area under the ROC curve; both classes must be there, each at least twice.

    >>> auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])).value
    0.75
    """
    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    ranks = rankdata(scores)
    above = (ranks[labels] - rankdata(positive)) / n
    below = 1.0 - (ranks[~labels] - rankdata(negative)) / m
    value = float(above.mean())
    shares = np.empty(m + n)
    shares[labels] = (above - value) / math.sqrt(m * (m - 1))
    shares[~labels] = (below - value) / math.sqrt(n * (n - 1))
    return Estimate(value, shares)


def accuracy(labels: Booleans, decisions: Booleans) -> Estimate:
    """Return the share of right decisions.

    >>> accuracy(np.array([True, True, False]), np.array([True, False, False])).value
    0.6666666666666666
    """
    right = (labels == decisions).astype(np.float64)
    value, n = float(right.mean()), len(right)
    return Estimate(value, (right - value) / math.sqrt(n * (n - 1)))


def interval(estimate: Estimate, clusters: Integers) -> Interval:
    """Return the statistic with its bounds, the rows of one cluster counted as one piece of evidence."""
    groups = int(clusters.max()) + 1
    n = len(clusters)
    sums = estimate.shares if groups == n else np.bincount(clusters, weights=estimate.shares, minlength=groups)
    correction = 1.0 if groups == n else groups / (groups - 1)
    error = math.sqrt(correction * float(np.square(sums).sum()))
    return Interval(estimate.value, error, float(t.ppf(CONFIDENCE, groups - 1)), n)


def clusters_of(entities: NDArray[np.str_], times_us: Integers) -> Integers:
    """Return each row's cluster, numbered from 0: its entity; where there are few entities, a block of time.

    A block holds the cube root of n consecutive rows, the rate that is best for dependent rows (Künsch 1989).
    """
    distinct, codes = np.unique(entities, return_inverse=True)
    if len(distinct) >= ENTITIES_MIN:
        return codes.astype(np.int64)
    n = len(times_us)
    blocks = np.empty(n, np.int64)
    blocks[np.argsort(times_us, kind="stable")] = np.arange(n) // max(1, math.ceil(n ** (1 / 3)))
    return blocks
