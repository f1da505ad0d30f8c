"""Aggregates over part of a window: what each keeps of some events, how parts are joined, and what they come to.

A partial is a fixed number of 8-byte cells. Four verbs: `clear`, `update` with one event, `merge` with another partial,
`finalize`. NaN is a missing value. Families share cells and verbs:

- moments [w, s]: count, sum, mean, rate, ratio, and the decayed ones, whose weights refer to a time;
- extremes [key, value]: min, max, first: the value whose key is least, of equals the first;
- spread [n, mean, m2]: variance and deviation of a population (Welford 1962; joined as Chan et al. 1979);
- the two sketches.

`last`, `time_since_last` look at raw events alone and have no partial.
"""

import math

import numpy as np
from numpy.typing import NDArray

from millrace.spec import AggregateOp
from millrace_engine.jit import kernel, leaf
from millrace_engine.sketches import (
    DISTINCT_CELLS,
    QUANTILE_CELLS,
    Cells,
    distinct_add,
    distinct_merge,
    distinct_size,
    hashed,
    quantile_add,
    quantile_merge,
    quantile_value,
)

COUNT, SUM, MEAN, RATE, RATIO, DECAYED_SUM, DECAYED_MEAN = range(7)
MIN, MAX, FIRST = range(7, 10)
VAR, STD = range(10, 12)
DISTINCT, QUANTILE, LAST, SINCE = range(12, 16)

CODES: dict[AggregateOp, int] = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "rate": RATE,
    "ratio": RATIO,
    "decayed_sum": DECAYED_SUM,
    "decayed_mean": DECAYED_MEAN,
    "min": MIN,
    "max": MAX,
    "first": FIRST,
    "var": VAR,
    "std": STD,
    "distinct": DISTINCT,
    "quantile": QUANTILE,
    "last": LAST,
    "time_since_last": SINCE,
}
COUNTED: frozenset[AggregateOp] = frozenset({"count", "distinct"})
"""Whose values are whole numbers."""
CELLS_MAX = QUANTILE_CELLS


def cells_needed(code: int) -> int:
    """Return how many cells a partial takes."""
    if code == DISTINCT:
        return DISTINCT_CELLS
    if code == QUANTILE:
        return QUANTILE_CELLS
    if code >= LAST:
        return 0
    return 3 if code in (VAR, STD) else 2


@leaf
def clear(cells: Cells, at: int, code: int) -> None:
    """Make a partial that holds nothing."""
    cells.ints[at] = 0
    cells.ints[at + 1] = 0
    if code in (VAR, STD):
        cells.ints[at + 2] = 0
    elif MIN <= code <= FIRST:
        cells.reals[at] = math.inf
        cells.reals[at + 1] = math.nan


@leaf
def weight(code: int, age_us: int, half_life_us: int) -> float:
    """Return what an event of that age counts: 1, or half as much per half-life; younger than the reference: more."""
    if code in (DECAYED_SUM, DECAYED_MEAN):
        return float(np.exp2(-(age_us / half_life_us)))
    return 1.0


@leaf
def update(cells: Cells, at: int, code: int, value: float, time_us: int, weight_: float) -> None:
    """Enter one event."""
    if code <= DECAYED_MEAN:
        cells.reals[at] += weight_
        cells.reals[at + 1] += weight_ * value
    elif code <= FIRST:
        key = value if code == MIN else (-value if code == MAX else float(time_us))
        if key < cells.reals[at]:
            cells.reals[at] = key
            cells.reals[at + 1] = value
    elif code <= STD:
        cells.reals[at] += 1.0
        off = value - cells.reals[at + 1]
        cells.reals[at + 1] += off / cells.reals[at]
        cells.reals[at + 2] += off * (value - cells.reals[at + 1])
    elif code == DISTINCT:
        distinct_add(cells.ints, at, hashed(value))
    else:
        quantile_add(cells.ints, at, value)


@kernel
def merge(cells: Cells, at: int, code: int, others: Cells, other: int, weight_: float) -> None:
    """Enter all that another partial holds, weighted."""
    if code <= DECAYED_MEAN:
        cells.reals[at] += weight_ * others.reals[other]
        cells.reals[at + 1] += weight_ * others.reals[other + 1]
    elif code <= FIRST:
        if others.reals[other] < cells.reals[at]:
            cells.reals[at] = others.reals[other]
            cells.reals[at + 1] = others.reals[other + 1]
    elif code <= STD:
        _merge_spread(cells.reals, at, others.reals, other)
    elif code == DISTINCT:
        distinct_merge(cells.ints, at, others.ints, other)
    else:
        quantile_merge(cells.ints, at, others.ints, other)


@kernel
def _merge_spread(reals: NDArray[np.float64], at: int, others: NDArray[np.float64], other: int) -> None:
    more = others[other]
    if more == 0.0:
        return
    n = reals[at] + more
    off = others[other + 1] - reals[at + 1]
    reals[at + 2] = reals[at + 2] + others[other + 2] + off * off * reals[at] * more / n
    reals[at + 1] += off * more / n
    reals[at] = n


@leaf
def finalize(cells: Cells, at: int, code: int, q: float) -> float:
    """Return what a partial comes to. `q`: which quantile; of a rate the window in seconds; of a ratio the event's."""
    if code <= DECAYED_MEAN:
        return _finalize_moments(cells.reals[at], cells.reals[at + 1], code, q)
    if code <= FIRST:
        return float(cells.reals[at + 1])
    if code <= STD:
        if cells.reals[at] == 0.0:
            return math.nan
        spread = cells.reals[at + 2] / cells.reals[at]
        return math.sqrt(spread) if code == STD else float(spread)
    if code == DISTINCT:
        return distinct_size(cells.ints, at)
    return quantile_value(cells.ints, at, q)


@leaf
def _finalize_moments(weights: float, total: float, code: int, q: float) -> float:
    if code == COUNT:
        return weights
    if code in (SUM, DECAYED_SUM):
        return total
    if code == RATE:
        return weights / q
    if weights == 0.0:
        return math.nan
    mean = total / weights
    if code == RATIO:
        return q / mean if mean != 0.0 else math.nan
    return mean
