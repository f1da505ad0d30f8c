"""From what happened when to figures."""

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EDGE = 0.1


def rate(taken_ms: NDArray[np.int64]) -> float:
    """Return rows per second of the steady part, without the first and the last tenth of the rows.

    The broker stamps a batch of rows with one time, so both ends lie on such a time: what came after the first of them,
    up to and with the second, took the time between them. `taken_ms` ascends.

    >>> rate(np.repeat(np.arange(0, 1000, 10), 50))
    5000.0
    """
    times, counts = np.unique(taken_ms, return_counts=True)
    taken = np.cumsum(counts)
    first = int(np.searchsorted(taken, EDGE * len(taken_ms)))
    last = int(np.searchsorted(taken, (1 - EDGE) * len(taken_ms)))
    if last <= first:
        raise ValueError("too few rows to tell a rate: the broker took them all at about one time")
    return float((taken[last] - taken[first]) * 1_000 / (times[last] - times[first]))


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many there are, and p50, p99 and the greatest in microseconds."""
    found = np.quantile(np.array(seconds) * 1e6, (0.5, 0.99, 1.0))
    return {"n": len(seconds)} | {
        name: round(float(value), 1) for name, value in zip(("p50_us", "p99_us", "max_us"), found, strict=True)
    }


def median(values: Sequence[float]) -> float:
    """Return the median of repeats."""
    return float(statistics.median(values))
