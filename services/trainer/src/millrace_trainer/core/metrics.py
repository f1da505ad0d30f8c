"""What a model is worth on a split: each metric with its 95 % interval and the rows it stands on."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from millrace_common.messages.candidate import Metric

Z95 = 1.959963984540054
_EPSILON = 1e-7

Scores = NDArray[np.float64]
Truths = NDArray[np.int8]


def measure(scores: Scores, truths: Truths, *, threshold: float) -> Mapping[str, Metric]:
    """Return accuracy, majority rate, log loss, Brier score, and AUC where both classes are there."""
    n = len(truths)
    positives = int(truths.sum())
    clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
    measured = {
        "accuracy": share(int(((scores >= threshold) == (truths == 1)).sum()), n),
        "majority": share(max(positives, n - positives), n),
        "positive": share(positives, n),
        "log_loss": mean(-np.where(truths == 1, np.log(clipped), np.log1p(-clipped))),
        "brier": mean((scores - truths) ** 2),
    }
    if 0 < positives < n:
        measured["auc"] = auc(scores, truths)
    return measured


def share(hits: int, n: int) -> Metric:
    """Return a share with its Wilson interval.

    >>> share(50, 100)
    Metric(value=0.5, low=0.403832, high=0.596168, n=100)
    """
    value = hits / n
    centre = (value + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(value * (1 - value) / n + Z95**2 / (4 * n * n))
    return _metric(value, max(0.0, centre - half), min(1.0, centre + half), n)


def mean(values: Scores) -> Metric:
    """Return a mean with its normal interval."""
    n = len(values)
    half = Z95 * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    value = float(values.mean())
    return _metric(value, value - half, value + half, n)


def auc(scores: Scores, truths: Truths) -> Metric:
    """Return the area under the ROC curve with DeLong's interval; both classes must be there."""
    positive, negative = scores[truths == 1], scores[truths == 0]
    m, n = len(positive), len(negative)
    joint = midranks(np.concatenate((positive, negative)))
    of_positive = (joint[:m] - midranks(positive)) / n
    of_negative = 1 - (joint[m:] - midranks(negative)) / m
    value = float(of_positive.mean())
    spread = (float(of_positive.var(ddof=1)) / m if m > 1 else 0.0) + (
        float(of_negative.var(ddof=1)) / n if n > 1 else 0.0
    )
    half = Z95 * math.sqrt(spread)
    return _metric(value, max(0.0, value - half), min(1.0, value + half), m + n)


def midranks(values: Scores) -> Scores:
    """Return ranks from 1, equal values sharing the mean of theirs.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: Scores = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _metric(value: float, low: float, high: float, n: int) -> Metric:
    return Metric(value=round(value, 6), low=round(low, 6), high=round(high, 6), n=n)
