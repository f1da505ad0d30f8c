"""Breaks that need no waiting: a column that comes missing, or not finite, far more often than it did in training."""

import math

from millrace_common.messages.alert import Item
from millrace_common.profiles import Counts
from millrace_monitor.core.profile import SCORE, Profile

MARGIN = 0.01
"""Shares up to one point above the reference's are not worth telling."""
MISTAKES = 1e-3


def excess(missing: int, n: int, share: float) -> float:
    """Return a bound on the chance of at least this many missing among `n` at a true `share` (Chernoff).

    >>> excess(0, 100, 0.1), round(excess(30, 100, 0.1), 9)
    (1.0, 2.12e-07)
    """
    seen = missing / n
    if seen <= share:
        return 1.0
    if seen == 1.0:
        return share**n
    divergence = seen * math.log(seen / share) + (1 - seen) * math.log((1 - seen) / (1 - share))
    return math.exp(-n * divergence)


def broken(profile: Profile, counts: Counts) -> tuple[Item, ...]:
    """Return the columns with a spike of missing values, the worst first."""
    found = []
    for number, column in enumerate(profile.columns):
        cells = profile.layout.cells(counts, number)
        n, missing = int(cells.sum()), int(cells[-1])
        expected = (int(column.cells[-1]) + 1) / (int(column.cells.sum()) + 2)
        limit = min(1.0, expected + MARGIN)
        if column.name == SCORE or not n or missing / n <= limit:
            continue
        p = excess(missing, n, limit)
        if p * len(profile.columns) <= MISTAKES:
            found.append((column.name, missing / n, limit, p))
    found.sort(key=lambda one: (-one[1], one[0]))
    return tuple(
        Item(name=name, statistic="missing", value=value, limit=limit, p=p, rank=rank)
        for rank, (name, value, limit, p) in enumerate(found, start=1)
    )
