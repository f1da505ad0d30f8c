"""From what happened when to figures."""

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EDGE = 0.1
BATCHES_MIN = 4
SPAN_MS_MIN = 100


def rate(taken_ms: NDArray[np.int64]) -> float:
    """Return rows per second of the steady part, without the first and the last tenth of the rows.

    The broker stamps a batch of rows with one time, and batches of several partitions come in bursts. So it is the
    slope of rows over time by least squares, not a quotient of two moments. `taken_ms` ascends.

    >>> rate(np.repeat(np.arange(0, 1000, 10), 50))
    5000.0
    """
    times, counts = np.unique(taken_ms, return_counts=True)
    taken = np.cumsum(counts)
    steady = (taken >= EDGE * len(taken_ms)) & (taken <= (1 - EDGE) * len(taken_ms))
    times, taken = times[steady], taken[steady]
    if len(times) < BATCHES_MIN or times[-1] - times[0] < SPAN_MS_MIN:
        raise ValueError("too few rows to tell a rate: the broker took them all at about one time")
    return round(float(np.polyfit(times - times[0], taken, 1)[0] * 1_000), 3)


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many there are, and p50, p99 and the greatest in microseconds."""
    found = np.quantile(np.array(seconds) * 1e6, (0.5, 0.99, 1.0))
    return {"n": len(seconds)} | {
        name: round(float(value), 1) for name, value in zip(("p50_us", "p99_us", "max_us"), found, strict=True)
    }


def median(values: Sequence[float]) -> float:
    """Return the median of repeats."""
    return float(statistics.median(values))
