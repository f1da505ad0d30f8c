"""More distances between two histograms on the same edges; KS and W1 stand in millrace_common.profiles."""

import numpy as np
from numpy.typing import NDArray

from millrace_common.profiles import Counts, ks


def ks_bracket(reference: Counts, counts: Counts) -> tuple[float, float]:
    """Return bounds on the Kolmogorov-Smirnov distance of the values that were counted, nulls left out.

    >>> ks_bracket(np.array([0, 2, 2, 0, 0]), np.array([0, 0, 4, 0, 0]))
    (0.5, 1.0)
    """
    low = ks(reference, counts)
    ours, theirs = _cumulative(reference), _cumulative(counts)
    high = max(float((theirs[1:] - ours[:-1]).max()), float((ours[1:] - theirs[:-1]).max()))
    return low, max(low, min(high, 1.0))


def psi(reference: Counts, counts: Counts) -> float:
    """Return the population stability index with Jeffreys smoothing, nulls included.

    >>> psi(np.array([5, 5, 0]), np.array([5, 5, 0]))
    0.0
    """
    ref = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    cur = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return float(((cur - ref) * np.log(cur / ref)).sum())


def _cumulative(cells: Counts) -> NDArray[np.float64]:
    """Return the share of values below each cell and, last, of all."""
    known = cells[:-1].cumsum()
    return np.concatenate(([0.0], known / max(int(known[-1]), 1)))
