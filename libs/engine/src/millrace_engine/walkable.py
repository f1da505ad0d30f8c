"""Whether kernels may walk a stored value: they check no bounds, so what it says of itself is looked at before."""

from millrace_engine.jit import bare, leaf
from millrace_engine.layout import (
    ALL_TILE_CELLS,
    COLUMNS,
    END_FEATURE,
    FIRST_CELL,
    FIRST_FEATURE,
    HEADER_CELLS,
    HOT_ENTRIES,
    RING,
    TILE_CELLS,
    TILES,
    VECTOR_CELLS,
    Int64s,
    Layout,
)
from millrace_engine.partials import CODE, DISTINCT, PARTIAL, QUANTILE, WINDOW
from millrace_engine.sketches import distinct_is_sound, quantile_is_sound


@bare
def is_walkable(layout: Layout, group: int, ints: Int64s, at: int, cells: int) -> bool:
    """Say whether a group's value that begins at `at` is as long as it says, and its sketches fit their cells."""
    fixed = HEADER_CELLS + layout.groups[group, VECTOR_CELLS]
    if cells < fixed:
        return False
    tiles, entry = layout.groups[group, ALL_TILE_CELLS], 2 + layout.groups[group, COLUMNS]
    before, entries = ints[at + 7], ints[at + 2] >> 32 & 0xFFFFFFFF
    if entries > RING or cells != fixed + before + entries * entry:
        return False
    if before == 0:
        return True
    left = before - tiles
    fits = left >= 0 and left % entry == 0 and left // entry + entries <= HOT_ENTRIES
    return fits and _are_sound(layout, group, ints, at + fixed)


@leaf
def _are_sound(layout: Layout, group: int, ints: Int64s, start: int) -> bool:
    features, windows = layout.features, layout.windows
    for f in range(layout.groups[group, FIRST_FEATURE], layout.groups[group, END_FEATURE]):
        code, w = features[f, CODE], features[f, WINDOW]
        if features[f, PARTIAL] >= 0 and code in (DISTINCT, QUANTILE):
            for tile in range(windows[w, TILES]):
                sketch = start + windows[w, FIRST_CELL] + tile * windows[w, TILE_CELLS] + features[f, PARTIAL]
                if not (distinct_is_sound(ints, sketch) if code == DISTINCT else quantile_is_sound(ints, sketch)):
                    return False
    return True
