"""The reference profile of a model, from rows that it was not fitted on, and the rows that must keep their answers."""

from collections.abc import Mapping, Sequence

import numpy as np

from millrace_common.messages.candidate import Metric
from millrace_common.profiles import (
    ColumnProfile,
    Floats,
    Histogram,
    Profile,
    ReferenceAccuracy,
    ReferenceWindows,
    count,
    edges_of,
    reference_windows,
    scale_of,
)
from millrace_trainer.core.dataset import Dataset, Matrix
from millrace_trainer.core.metrics import Scores

SCORE = "__score"
WINDOWS_MIN = 4


def profile(
    dataset: Dataset,
    parts: Mapping[str, slice],
    *,
    names: Sequence[str],
    scores: Scores,
    accuracy: Metric,
    facts: tuple[str, float, int],
) -> Profile:
    """Return the profile on the tune split; `facts` are the view's hash, the threshold, and rows per window.

    Histograms are of the tune rows. The windows of a column run over fit and tune, since a column is not fitted; those
    of the score over tune only. A window is at most a quarter of the tune rows.
    """
    view_hash, threshold, window_rows = facts
    tune = parts["tune"]
    window_rows = max(1, min(window_rows, (tune.stop - tune.start) // WINDOWS_MIN))
    columns, windows = [], {}
    for place, name in enumerate(names):
        values = dataset.x[: tune.stop, place]
        column = _column(name, values[tune])
        columns.append(column)
        windows[name] = _windows(column, values, window_rows, scale=column.scale)
    of_scores = scores[tune]
    score, score_scale = _histogram(of_scores), scale_of(of_scores)
    windows[SCORE] = _windows(score, of_scores, window_rows, scale=score_scale)
    return Profile(
        view_hash=view_hash,
        columns=tuple(columns),
        score=score,
        score_scale=score_scale,
        reference_windows=windows,
        window_rows=window_rows,
        accuracy=ReferenceAccuracy(
            value=accuracy.value, low=accuracy.low or 0.0, high=accuracy.high or 0.0, n=accuracy.n
        ),
        threshold=threshold,
    )


def _column(name: str, values: Floats) -> ColumnProfile:
    histogram = _histogram(values)
    return ColumnProfile(name=name, edges=histogram.edges, counts=histogram.counts, scale=scale_of(values))


def _histogram(values: Floats) -> Histogram:
    edges = edges_of(values)
    return Histogram(edges=edges, counts=tuple(count(edges, values).tolist()))


def _windows(histogram: Histogram, values: Floats, window_rows: int, *, scale: float) -> ReferenceWindows:
    return reference_windows(histogram.edges, values, window_rows=window_rows, scale=scale)


def golden_rows(x: Matrix) -> Matrix:
    """Return rows whose answers every later reader of the model must repeat.

    All missing, all zero, the least, the middle and the greatest of each column, and three real rows.
    """
    held = np.where(np.isnan(x).all(axis=0), np.float32(0), x)
    made = (
        np.full(x.shape[1], np.nan, np.float32),
        np.zeros(x.shape[1], np.float32),
        np.nanmin(held, axis=0),
        np.nanmedian(held, axis=0).astype(np.float32),
        np.nanmax(held, axis=0),
    )
    real = x[np.linspace(0, len(x) - 1, 3).astype(int)]
    return np.ascontiguousarray(np.concatenate((np.stack(made), real)), np.float32)
