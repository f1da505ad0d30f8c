"""Whether the converted model says what the native one says, also on the very edges of its decisions."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace_trainer.core.dataset import Matrix

APART_MAX = 1e-5
BOUNDARIES_MAX = 400


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far apart the two models are: the greatest difference of a score, and decisions that differ."""

    apart: float
    flips: int
    n: int

    @property
    def holds(self) -> bool:
        """Say whether the conversion is good enough to serve."""
        return self.apart <= APART_MAX and self.flips == 0


def boundary_rows(x: Matrix, boundaries: Sequence[tuple[int, float]]) -> Matrix:
    """Return rows on, just below and just above thresholds (real rows with one value moved), and rows with gaps."""
    step = max(1, len(boundaries) // BOUNDARIES_MAX)
    chosen = boundaries[::step]
    rows = np.repeat(x[np.arange(len(chosen)) % len(x)], 3, axis=0)
    for place, (column, threshold) in enumerate(chosen):
        at = np.float32(threshold)
        rows[3 * place : 3 * place + 3, column] = (at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf))
    one_missing = np.where(np.eye(x.shape[1], dtype=bool), np.float32(np.nan), x[:1])
    return np.concatenate((rows, one_missing, np.full((1, x.shape[1]), np.nan, np.float32)))


def compare(
    native: NDArray[np.float64], converted: NDArray[np.float64], labels: NDArray[np.int64], *, threshold: float = 0.5
) -> Parity:
    """Return how far the converted scores and labels lie from the native scores.

    A label is a flip where it contradicts a native score that is not within the tolerance of the threshold.
    """
    clear = np.abs(native - threshold) > APART_MAX
    flips = int(((labels == 1) != (native > threshold))[clear].sum())
    differences = np.abs(native - converted)
    apart = float(differences.max()) if np.isfinite(differences).all() else float("inf")
    return Parity(apart=apart, flips=flips, n=len(native))
