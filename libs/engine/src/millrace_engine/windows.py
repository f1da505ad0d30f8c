"""What a group's features are at a time: tiles of what left the ring, then the ring, then the event itself."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_engine.arena import NO_BLOCK
from millrace_engine.jit import bare, kernel, leaf
from millrace_engine.layout import (
    ALWAYS_US,
    COLUMNS,
    END_FEATURE,
    END_WINDOW,
    FIRST_CELL,
    FIRST_FEATURE,
    FIRST_WINDOW,
    HEADER_CELLS,
    TILE_CELLS,
    TILE_US,
    TILES,
    TILES_PER_WINDOW,
    VECTOR_CELLS,
    WIDTH_US,
    Float64s,
    Layout,
)
from millrace_engine.partials import (
    ARGUMENT,
    CELLS_MAX,
    CODE,
    CURRENT,
    DECAYED_MEAN,
    DECAYED_SUM,
    EVENTS,
    HALF_LIFE_US,
    LAST,
    NTH,
    PARTIAL,
    PPM,
    QUANTILE,
    RATE,
    RATIO,
    SINCE,
    WHERE,
    WINDOW,
    Into,
    Span,
    Table,
    clear,
    finalize,
    fold,
    merge,
    value_of,
    weight,
)
from millrace_engine.sketches import Cells, cells_like, quantile_exact
from millrace_engine.values import FLOAT32_MAX

FIRST_ENTRY, TILES_SEEN, SEEN = range(3)
"""What a window sees: its first entry in the ring, how many tiles, and from SEEN on the cell of each."""
SEEN_CELLS = SEEN + 2 * TILES_PER_WINDOW + 1
"""A window is shorter than twice as many tiles as it is cut into, and both its ends may cut one."""


class Asked(NamedTuple):
    """A group (its place, its block) at a time. `current`: whether the event itself is given."""

    group: int
    block: int
    at_us: int
    current: bool


@leaf
def span_before(layout: Layout, cells: Cells, asked: Asked) -> Span:
    """Return the entries before a time."""
    stride = 2 + layout.groups[asked.group, COLUMNS]
    if asked.block == NO_BLOCK:
        return Span(0, stride, 0, 0)
    ints, at = cells.ints, asked.block
    ring = at + HEADER_CELLS + layout.groups[asked.group, VECTOR_CELLS] + ints[at + 7]
    end = ints[at + 2] >> 32
    while end > 0 and ints[ring + (end - 1) * stride] >= asked.at_us:
        end -= 1
    return Span(ring, stride, 0, end)


@bare
def group_values(
    layout: Layout, cells: Cells, asked: Asked, current: Float64s, scratch: Cells, out: NDArray[np.float32]
) -> None:
    """Write the features of a group at a time."""
    before = span_before(layout, cells, asked)
    features = layout.features
    _see(layout, cells, asked, before, scratch)
    first = layout.groups[asked.group, FIRST_FEATURE]
    for f in range(first, layout.groups[asked.group, END_FEATURE]):
        span = _span_of(layout.features, before, asked, f, scratch)
        given = asked.current and features[f, CURRENT] == 1 and _counts(features, f, current)
        if features[f, CODE] == LAST:
            value = _last(features, cells, span, f, current[features[f, ARGUMENT]] if given else math.nan)
        elif features[f, CODE] == SINCE:
            value = 0.0 if given else _seconds_since(features, cells, span, f, asked.at_us)
        else:
            value = _folded(layout, cells, span, (f, asked, given), current, scratch)
        out[f - first] = np.float32(value) + np.float32(0.0) if abs(value) <= FLOAT32_MAX else np.float32(np.nan)


@leaf
def _see(layout: Layout, cells: Cells, asked: Asked, before: Span, scratch: Cells) -> None:
    """Write behind the partial in `scratch` what each window sees: from which entry on, and which tiles, oldest first.

    The edge tile counts whole. Windows mostly widen: each goes on where the narrower one before it began.
    """
    first, narrower_us = before.end, 0
    for w in range(layout.groups[asked.group, FIRST_WINDOW], layout.groups[asked.group, END_WINDOW]):
        width_us, seen = layout.windows[w, WIDTH_US], _seen(w)
        if width_us < narrower_us:
            first = before.end
        while first > 0 and cells.ints[before.ring + (first - 1) * before.stride] >= asked.at_us - width_us:
            first -= 1
        narrower_us = width_us
        scratch.ints[seen + FIRST_ENTRY] = first
        scratch.ints[seen + TILES_SEEN] = 0
        if asked.block != NO_BLOCK and cells.ints[asked.block + 7] > 0 and layout.windows[w, TILES] > 0:
            _see_tiles(layout, cells, asked, w, scratch)


@leaf
def _see_tiles(layout: Layout, cells: Cells, asked: Asked, w: int, scratch: Cells) -> None:
    tile_us, tiles, size = layout.windows[w, TILE_US], layout.windows[w, TILES], layout.windows[w, TILE_CELLS]
    last = (asked.at_us - 1) // tile_us
    oldest = max((asked.at_us - layout.windows[w, WIDTH_US]) // tile_us, last - tiles + 1)
    start, place, seen, n = tile_at(layout, asked, w, 0), oldest % tiles, _seen(w), 0
    for index in range(oldest, last + 1):
        tile = start + place * size
        place = place + 1 if place + 1 < tiles else 0
        if cells.ints[tile] == index:
            scratch.ints[seen + SEEN + n] = tile
            n += 1
    scratch.ints[seen + TILES_SEEN] = n


@leaf
def _seen(window: int) -> int:
    """Return the cell of `scratch` at which stands what a window sees."""
    return CELLS_MAX + SEEN_CELLS * window


@leaf
def _span_of(features: Table, before: Span, asked: Asked, f: int, scratch: Cells) -> Span:
    """Return the entries that a feature looks at."""
    window, events = features[f, WINDOW], features[f, EVENTS]
    if window >= 0:
        return Span(before.ring, before.stride, scratch.ints[_seen(window) + FIRST_ENTRY], before.end)
    if events >= 0:
        held = events - (asked.current and features[f, CURRENT] == 1)
        return Span(before.ring, before.stride, max(0, before.end - held), before.end)
    return before


@leaf
def _counts(features: Table, f: int, current: Float64s) -> bool:
    """Say whether the event at hand passes `where` and has the argument."""
    where, argument = features[f, WHERE], features[f, ARGUMENT]
    if where >= 0 and current[where] != 1.0:
        return False
    return argument < 0 or not math.isnan(current[argument])


@leaf
def _last(features: Table, cells: Cells, span: Span, f: int, current: float) -> float:
    n = features[f, NTH]
    if not math.isnan(current):
        if n == 1:
            return current
        n -= 1
    for j in range(span.end - 1, span.first - 1, -1):
        value = value_of(features, cells, span.ring + j * span.stride, f)
        if not math.isnan(value):
            n -= 1
            if n == 0:
                return value
    return math.nan


@leaf
def _seconds_since(features: Table, cells: Cells, span: Span, f: int, at_us: int) -> float:
    for j in range(span.end - 1, span.first - 1, -1):
        entry = span.ring + j * span.stride
        if not math.isnan(value_of(features, cells, entry, f)):
            return (at_us - cells.ints[entry]) / 1e6
    return math.nan


@leaf
def _folded(
    layout: Layout, cells: Cells, span: Span, what: tuple[int, Asked, bool], current: Float64s, scratch: Cells
) -> float:
    """Return an aggregate that is folded event by event."""
    f, asked, given = what
    features = layout.features
    code, argument = features[f, CODE], features[f, ARGUMENT]
    clear(features, f, scratch, 0)
    tiled = features[f, PARTIAL] >= 0 and _fold_tiles(layout, cells, asked, f, scratch)
    if code == QUANTILE and (not tiled or scratch.ints[1] == 0):
        return _quantile(features, cells, span, f, current[argument] if given else math.nan)
    fold(features, cells, span, scratch, Into(f, 0, asked.at_us))
    if given and code != RATIO:
        _fold_current(features, current, asked.at_us, scratch, f)
    if code == RATIO:
        return finalize(features, f, scratch, 0, current[argument] if asked.current else math.nan)
    if code == RATE:
        return finalize(features, f, scratch, 0, layout.windows[features[f, WINDOW], WIDTH_US] / 1e6)
    return finalize(features, f, scratch, 0, features[f, PPM] / 1e6)


@kernel
def _fold_current(features: Table, current: Float64s, at_us: int, scratch: Cells, f: int) -> None:
    """Enter the event itself, laid out as an entry of a ring."""
    entry = cells_like(2 + len(current))
    entry.ints[0] = at_us
    entry.reals[2:] = current
    fold(features, entry, Span(0, 1, 0, 1), scratch, Into(f, 0, at_us))


@kernel
def _quantile(features: Table, cells: Cells, span: Span, f: int, current: float) -> float:
    values = np.empty(span.end - span.first + 1)
    n = 0
    for j in range(span.first, span.end):
        value = value_of(features, cells, span.ring + j * span.stride, f)
        if not math.isnan(value):
            values[n] = value
            n += 1
    if not math.isnan(current):
        values[n] = current
        n += 1
    return quantile_exact(values[:n], features[f, PPM] / 1e6)


@leaf
def _fold_tiles(layout: Layout, cells: Cells, asked: Asked, f: int, scratch: Cells) -> bool:
    """Enter the tiles of a feature's window, oldest first; say whether there was one."""
    window = layout.features[f, WINDOW]
    code, half_life_us = layout.features[f, CODE], layout.features[f, HALF_LIFE_US]
    tile_us, seen = layout.windows[window, TILE_US], _seen(window)
    for i in range(scratch.ints[seen + TILES_SEEN]):
        tile = scratch.ints[seen + SEEN + i]
        decayed = DECAYED_SUM <= code <= DECAYED_MEAN
        factor = weight(asked.at_us - (cells.ints[tile] + 1) * tile_us, half_life_us) if decayed else 1.0
        merge(layout.features, scratch, Into(f, 0, 0), cells, tile + layout.features[f, PARTIAL], factor)
    return scratch.ints[seen + TILES_SEEN] > 0


@leaf
def tile_at(layout: Layout, asked: Asked, window: int, index: int) -> int:
    """Return the cell at which the tile of that index lies, if it is held: its first cell says which one is."""
    place = index % layout.windows[window, TILES]
    first = asked.block + HEADER_CELLS + layout.groups[asked.group, VECTOR_CELLS]
    return first + layout.windows[window, FIRST_CELL] + place * layout.windows[window, TILE_CELLS]


@leaf
def fresh_until_us(layout: Layout, cells: Cells, asked: Asked, scratch: Cells) -> int:
    """Return the last time at which every feature still is what it is at the time asked for.

    `scratch` is as `group_values` has left it.
    """
    end_us = ALWAYS_US
    before = span_before(layout, cells, asked)
    for w in range(layout.groups[asked.group, FIRST_WINDOW], layout.groups[asked.group, END_WINDOW]):
        width_us, tile_us, seen = layout.windows[w, WIDTH_US], layout.windows[w, TILE_US], _seen(w)
        first = scratch.ints[seen + FIRST_ENTRY]
        if first < before.end:
            end_us = min(end_us, cells.ints[before.ring + first * before.stride] + width_us)
        if scratch.ints[seen + TILES_SEEN] > 0:
            end_us = min(end_us, (cells.ints[scratch.ints[seen + SEEN]] + 1) * tile_us - 1 + width_us)
    return asked.at_us if _moves(layout, asked.group) else end_us


@leaf
def _moves(layout: Layout, group: int) -> bool:
    """Say whether a group has a feature that changes as time goes by though nothing leaves a window."""
    for f in range(layout.groups[group, FIRST_FEATURE], layout.groups[group, END_FEATURE]):
        code = layout.features[f, CODE]
        if code == SINCE or DECAYED_SUM <= code <= DECAYED_MEAN:
            return True
    return False
