"""The reference statistics in a model's artifact: histograms on frozen edges, and the distances between them.

Counts of a column with edges e_0 < ... < e_B are [under, bin 1 ... bin B, over, null]: B + 3 integers. Bin i holds
e_(i-1) <= x < e_i, `over` holds x >= e_B, null holds missing values. Counts are exact, so they add and subtract.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

BINS_MAX = 64
DISTINCT_MAX = 50

Floats = NDArray[np.float32] | NDArray[np.float64]
Counts = NDArray[np.int64]


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts on edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class ColumnProfile(Histogram, frozen=True, kw_only=True):
    """One input of the model in the reference rows. `scale` is its robust spread, the unit of W1."""

    name: str
    scale: float


class ReferenceWindows(msgspec.Struct, frozen=True, kw_only=True):
    """How far windows of the reference rows themselves lie from all of them, in time order."""

    w1: tuple[float, ...]
    ks: tuple[float, ...]


class ReferenceAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """The share of right decisions on the reference rows, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """profile.json. `score` is of the rows of the tune split, which the model was not fitted on.

    `reference_windows` is by column name; the score's stands under `__score`. Each window holds `window_rows` rows.
    """

    view_hash: str
    columns: tuple[ColumnProfile, ...]
    score: Histogram
    score_scale: float
    reference_windows: dict[str, ReferenceWindows]
    window_rows: int
    accuracy: ReferenceAccuracy
    threshold: float


def encode(profile: Profile) -> bytes:
    """Return profile.json."""
    return msgspec.json.encode(profile)


def decode(data: bytes) -> Profile:
    """Return the profile in profile.json; raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Profile)


def edges_of(values: Floats) -> tuple[float, ...]:
    """Return edges for a column: one bin per value where there are few, else about 64 equal-frequency bins.

    A value that holds more than a bin's share gets a bin of its own. No finite value gives one bin at zero.

    >>> edges_of(np.array([0, 1, 1, np.nan], np.float32))
    (0.0, 1.0, 1.0000001192092896)
    """
    finite = np.sort(values[np.isfinite(values)].astype(np.float32))
    if finite.size == 0:
        finite = np.zeros(1, np.float32)
    distinct, held = np.unique(finite, return_counts=True)
    if distinct.size <= DISTINCT_MAX:
        starts = distinct
    else:
        quantiles = finite[np.arange(BINS_MAX) * finite.size // BINS_MAX]
        points = distinct[held > finite.size / BINS_MAX]
        starts = np.unique(np.concatenate((quantiles, points, np.nextafter(points, np.float32(np.inf)))))
    end = np.nextafter(distinct[-1], np.float32(np.inf))
    return tuple(float(edge) for edge in np.unique(np.append(starts, end)))


def count(edges: Sequence[float], values: Floats) -> Counts:
    """Return the counts of values on edges.

    >>> count((0.0, 1.0, 2.0), np.array([-1, 0, 1.5, 2, np.nan])).tolist()
    [1, 1, 1, 1, 1]
    """
    slots = len(edges) + 2
    places = np.searchsorted(np.asarray(edges, np.float64), values.astype(np.float64), side="right")
    places[np.isnan(values)] = slots - 1
    return np.bincount(places, minlength=slots).astype(np.int64)


def scale_of(values: Floats) -> float:
    """Return the robust spread of a column: the larger of IQR / 1.349 and a tenth of the standard deviation."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size == 0:
        return 1e-9
    low, high = np.percentile(finite, (25, 75))
    return float(max((high - low) / 1.349, finite.std() / 10, 1e-9))


def ks(reference: Counts, counts: Counts) -> float:
    """Return the greatest difference of the two distributions at an edge; nulls are left out, no value gives 0.

    >>> ks(np.array([0, 2, 2, 0, 0]), np.array([0, 0, 4, 0, 9]))
    0.5
    """
    return float(np.abs(_apart(reference, counts)).max())


def w1(edges: Sequence[float], reference: Counts, counts: Counts, *, scale: float) -> float:
    """Return the Wasserstein-1 distance of the two distributions in units of `scale`; nulls are left out.

    Values of a bin stand at its centre, those beyond the edges at the first and the last edge.

    >>> w1((0.0, 2.0, 4.0), np.array([0, 4, 0, 0, 0]), np.array([0, 0, 4, 0, 0]), scale=1.0)
    2.0
    """
    at = np.asarray(edges, np.float64)
    centres = np.concatenate((at[:1], (at[:-1] + at[1:]) / 2, at[-1:]))
    return float((np.abs(_apart(reference, counts))[:-1] * np.diff(centres)).sum() / scale)


def _apart(reference: Counts, counts: Counts) -> NDArray[np.float64]:
    ours, theirs = reference[:-1].cumsum(), counts[:-1].cumsum()
    if ours[-1] == 0 or theirs[-1] == 0:
        return np.zeros(ours.size)
    return np.asarray(ours / ours[-1] - theirs / theirs[-1], np.float64)


def reference_windows(edges: Sequence[float], values: Floats, *, window_rows: int, scale: float) -> ReferenceWindows:
    """Return the distances of windows of `values` (in time order, half overlapping) from the rows outside them."""
    whole = count(edges, values)
    starts = range(0, values.size - window_rows + 1, max(1, window_rows // 2))
    windows = [count(edges, values[start : start + window_rows]) for start in starts]
    return ReferenceWindows(
        w1=tuple(w1(edges, whole - window, window, scale=scale) for window in windows),
        ks=tuple(ks(whole - window, window) for window in windows),
    )
