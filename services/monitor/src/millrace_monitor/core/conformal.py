"""How unusual a window is among windows of the same length in which nothing was wrong.

The reference windows are time-ordered windows of the training data, each held against the others: autocorrelation is
in them, so that the p-value holds where one computed from rows would not (it assumes that windows, not rows, are
exchangeable).
"""

from bisect import bisect_left
from collections.abc import Sequence

WINDOWS_MIN = 8


def p_value(statistic: float, reference: Sequence[float]) -> float:
    """Return the window-conformal p: the rank of the statistic among `reference` (sorted), both included.

    With fewer than 8 reference windows nothing can be said: 1.

    >>> p_value(9.5, range(9)), p_value(0.0, range(9)), p_value(9.5, range(7))
    (0.1, 1.0, 1.0)
    """
    if len(reference) < WINDOWS_MIN:
        return 1.0
    return (1 + len(reference) - bisect_left(reference, statistic)) / (len(reference) + 1)


def both(first: float, second: float) -> float:
    """Return a p-value of two: twice the smaller, valid under any dependence.

    >>> both(0.01, 0.4)
    0.02
    """
    return min(1.0, 2 * min(first, second))
