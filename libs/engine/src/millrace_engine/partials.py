"""Aggregates over part of a window: what each keeps of some events, how parts are joined, and what they come to.

A partial is a fixed number of 8-byte cells. Four verbs: `clear`, `fold` in events, `merge` with another partial,
`finalize`. NaN is a missing value. Families share cells and verbs:

- moments [w, s]: count, sum, mean, rate, ratio, and the decayed ones, whose weights refer to a time;
- extremes [key, value]: min, max, first: the value whose key is least, of equals the first;
- spread [n, mean, m2]: variance and deviation of a population (Welford 1962; joined as Chan et al. 1979);
- the two sketches.

`last`, `time_since_last` look at raw events alone and have no partial.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace.spec import AggregateOp
from millrace_engine.customs import custom_finalize, custom_merge, custom_prepare, custom_update
from millrace_engine.jit import leaf
from millrace_engine.sketches import (
    DISTINCT_CELLS,
    QUANTILE_CELLS,
    Cells,
    distinct_add,
    distinct_merge,
    distinct_size,
    hashed,
    lay,
    quantile_add,
    quantile_merge,
    quantile_value,
)

CODE, WINDOW, EVENTS, ARGUMENT, WHERE, NTH, PPM, HALF_LIFE_US, CURRENT, PARTIAL, VERBS = range(11)
"""Columns of the table of features; -1: has none. PPM: which quantile, in millionths. PARTIAL: place in a tile. From
VERBS on the addresses of a team's own prepare, update, merge, finalize."""
FEATURE_COLUMNS = VERBS + 4
Table = NDArray[np.int64]
"""Two-dimensional: a row for each thing, a column for each of some names."""

COUNT, SUM, MEAN, RATE, RATIO, DECAYED_SUM, DECAYED_MEAN = range(7)
MIN, MAX, FIRST = range(7, 10)
VAR, STD = range(10, 12)
DISTINCT, QUANTILE, LAST, SINCE, CUSTOM = range(12, 17)

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
    "custom": CUSTOM,
}
CELLS_MAX = QUANTILE_CELLS


def cells_needed(code: int) -> int:
    """Return how many cells a partial takes; a team's own says so itself."""
    if code == DISTINCT:
        return DISTINCT_CELLS
    if code == QUANTILE:
        return QUANTILE_CELLS
    if code in (LAST, SINCE):
        return 0
    return 3 if code in (VAR, STD) else 2


@leaf
def clear(features: Table, f: int, cells: Cells, at: int) -> None:
    """Make a partial that holds nothing."""
    code = features[f, CODE]
    if code == CUSTOM:
        custom_prepare(features[f, VERBS], cells.reals, at)
        return
    cells.ints[at] = 0
    cells.ints[at + 1] = 0
    if code in (VAR, STD):
        cells.ints[at + 2] = 0
    elif MIN <= code <= FIRST:
        cells.reals[at] = math.inf
        cells.reals[at + 1] = math.nan


class Span(NamedTuple):
    """Entries [first, end) of a ring that begins at the cell `ring`: each a time, an id digest, the columns."""

    ring: int
    stride: int
    first: int
    end: int


class Into(NamedTuple):
    """Where a feature's events are folded into: its place, the partial's cell, the time that its weights refer to."""

    feature: int
    at: int
    ref_us: int


@leaf
def weight(age_us: int, half_life_us: int) -> float:
    """Return what an event of that age counts: half as much per half-life, and more where it is younger."""
    return float(np.exp2(-(age_us / half_life_us)))


@leaf
def value_of(features: Table, cells: Cells, entry: int, f: int) -> float:
    """Return what an entry gives to a feature; NaN where it does not count."""
    where, argument = features[f, WHERE], features[f, ARGUMENT]
    if where >= 0 and cells.reals[entry + 2 + where] != 1.0:
        return math.nan
    return 1.0 if argument < 0 else float(cells.reals[entry + 2 + argument])


@leaf
def fold(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    """Enter events into a partial, one after the other."""
    code = features[into.feature, CODE]
    if code < DECAYED_SUM:
        _fold_counts(features, entries, span, cells, into)
    elif code <= DECAYED_MEAN:
        _fold_decayed(features, entries, span, cells, into)
    elif code <= FIRST:
        _fold_extremes(features, entries, span, cells, into)
    elif code <= STD:
        _fold_spread(features, entries, span, cells, into)
    elif code == CUSTOM:
        _fold_custom(features, entries, span, cells, into)
    else:
        _fold_sketch(features, entries, span, cells, into)


@leaf
def _fold_counts(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    n, total = cells.reals[into.at], cells.reals[into.at + 1]
    if features[into.feature, ARGUMENT] < 0 and features[into.feature, WHERE] < 0:
        held = span.end - span.first
        cells.reals[into.at], cells.reals[into.at + 1] = n + held, total + held
        return
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            n += 1.0
            total += value
    cells.reals[into.at], cells.reals[into.at + 1] = n, total


@leaf
def _fold_decayed(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    weights, total = cells.reals[into.at], cells.reals[into.at + 1]
    half_life_us = features[into.feature, HALF_LIFE_US]
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            weight_ = weight(into.ref_us - entries.ints[entry], half_life_us)
            weights += weight_
            total += value * weight_
    cells.reals[into.at], cells.reals[into.at + 1] = weights, total


@leaf
def _fold_extremes(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    key, held = cells.reals[into.at], cells.reals[into.at + 1]
    code = features[into.feature, CODE]
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            own = value if code == MIN else (-value if code == MAX else float(entries.ints[entry]))
            if own < key:
                key, held = own, value
    cells.reals[into.at], cells.reals[into.at + 1] = key, held


@leaf
def _fold_spread(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    n, mean, m2 = cells.reals[into.at], cells.reals[into.at + 1], cells.reals[into.at + 2]
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            n += 1.0
            off = value - mean
            mean += off / n
            m2 += off * (value - mean)
    cells.reals[into.at], cells.reals[into.at + 1], cells.reals[into.at + 2] = n, mean, m2


@leaf
def _fold_sketch(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    code = features[into.feature, CODE]
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            if code == DISTINCT:
                distinct_add(cells.ints, into.at, hashed(value))
            else:
                quantile_add(cells.ints, into.at, value)


@leaf
def _fold_custom(features: Table, entries: Cells, span: Span, cells: Cells, into: Into) -> None:
    for entry in range(span.ring + span.first * span.stride, span.ring + span.end * span.stride, span.stride):
        value = value_of(features, entries, entry, into.feature)
        if value == value:
            custom_update(features[into.feature, VERBS + 1], cells.reals, into.at, value)


@leaf
def merge(features: Table, cells: Cells, into: Into, others: Cells, other: int, weight_: float) -> None:
    """Enter all that another partial holds, weighted."""
    code, at = features[into.feature, CODE], into.at
    if code <= DECAYED_MEAN:
        cells.reals[at] += others.reals[other] * weight_
        cells.reals[at + 1] += others.reals[other + 1] * weight_
    elif code <= FIRST:
        if others.reals[other] < cells.reals[at]:
            cells.reals[at] = others.reals[other]
            cells.reals[at + 1] = others.reals[other + 1]
    elif code <= STD:
        _merge_spread(cells.reals, at, others.reals, other)
    elif code == DISTINCT:
        distinct_merge(cells.ints, at, others.ints, other)
    elif code == CUSTOM:
        custom_merge(features[into.feature, VERBS + 2], cells.reals, at, others.reals, other)
    else:
        quantile_merge(cells.ints, at, others.ints, other)


@leaf
def _merge_spread(reals: NDArray[np.float64], at: int, others: NDArray[np.float64], other: int) -> None:
    if reals[at] == 0.0:
        lay(others[other : other + 3], reals[at:])
    elif others[other] > 0.0:
        more, off = others[other], others[other + 1] - reals[at + 1]
        n = reals[at] + more
        reals[at + 2] = reals[at + 2] + others[other + 2] + off * off * reals[at] * more / n
        reals[at + 1] += off * more / n
        reals[at] = n


@leaf
def finalize(features: Table, f: int, cells: Cells, at: int, q: float) -> float:
    """Return what a partial comes to. `q`: which quantile; of a rate the window in seconds; of a ratio the event's."""
    code = features[f, CODE]
    if code == CUSTOM:
        return custom_finalize(features[f, VERBS + 3], cells.reals, at)
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
