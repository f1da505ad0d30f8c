"""One window held against the profile: a distance, a limit and a p-value for each column."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from millrace_common.messages.alert import Item
from millrace_common.profiles import Counts, w1
from millrace_monitor.core.conformal import both, p_value
from millrace_monitor.core.distances import ks_bracket, psi
from millrace_monitor.core.profile import Column, Profile

W1_FLOOR = 0.1
"""Of the robust spread; smaller shifts are not worth telling."""
KS_FLOOR = 0.05
KS_IID_99 = 1.628
FAST_FLOORS = 5.0
FAST_REFERENCES = 2.0
CALM = 0.7


class Reading(msgspec.Struct, frozen=True):
    """What one column says of one window. `statistic` is the one of W1 and KS that is farther over its limit.

    `is_break` says that one window is enough: far beyond every reference window and beyond what could be harmless.
    """

    name: str
    statistic: Literal["w1", "ks"]
    value: float
    limit: float
    p: float
    is_break: bool
    w1: float
    ks: tuple[float, float]
    """The bracket that the exact distance of the values lies in."""
    psi: float
    missing: float

    @property
    def ratio(self) -> float:
        """Return how far the statistic is over its limit; 1 is at it."""
        return self.value / self.limit


def read(profile: Profile, counts: Counts) -> tuple[Reading, ...]:
    """Return the reading of each column for the counts of one window."""
    return tuple(
        _reading(column, profile.layout.cells(counts, number)) for number, column in enumerate(profile.columns)
    )


def ranked(readings: Sequence[Reading]) -> tuple[Item, ...]:
    """Return the columns that are over their limits, the farthest first."""
    over = sorted((one for one in readings if one.ratio >= 1.0), key=lambda one: (-one.ratio, one.name))
    return tuple(
        Item(name=one.name, statistic=one.statistic, value=one.value, limit=one.limit, p=one.p, rank=rank)
        for rank, one in enumerate(over, start=1)
    )


def _reading(column: Column, cells: Counts) -> Reading:
    n, reference_n = int(cells[:-1].sum()), int(column.cells[:-1].sum())
    moved = w1(column.edges, column.cells, cells, scale=column.scale)
    bracket = ks_bracket(column.cells, cells) if n and reference_n else (0.0, 0.0)
    shape = bracket[0]
    moved_limit = max(W1_FLOOR, _top(column.w1))
    shape_limit = max(KS_FLOOR, KS_IID_99 * (1 / max(n, 1) + 1 / max(reference_n, 1)) ** 0.5, _top(column.ks))
    is_moved = moved / moved_limit >= shape / shape_limit
    return Reading(
        name=column.name,
        statistic="w1" if is_moved else "ks",
        value=moved if is_moved else shape,
        limit=moved_limit if is_moved else shape_limit,
        p=both(p_value(moved, column.w1), p_value(shape, column.ks)) if n else 1.0,
        is_break=bool(column.w1)
        and moved > max(FAST_FLOORS * W1_FLOOR, FAST_REFERENCES * column.w1[-1])
        and shape > max(FAST_FLOORS * KS_FLOOR, shape_limit),
        w1=moved,
        ks=bracket,
        psi=psi(column.cells, cells),
        missing=int(cells[-1]) / max(int(cells.sum()), 1),
    )


def _top(reference: Sequence[float]) -> float:
    """Return the reference windows' 99 % quantile (the nearest above), 0 without any."""
    return reference[min(len(reference) - 1, int(0.99 * len(reference)))] if reference else 0.0
