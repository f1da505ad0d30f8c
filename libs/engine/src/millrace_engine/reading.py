"""What stored values say at given times: one call of a kernel for the groups of many entities.

A call from Python costs by the arrays it hands over, and by tuples more, so the tables of a layout go as one array.
"""

import numpy as np
from numpy.typing import NDArray

from millrace_engine.arena import NO_BLOCK
from millrace_engine.jit import bare, kernel
from millrace_engine.layout import (
    COLUMNS,
    END_FEATURE,
    FIRST_CELL,
    FIRST_COLUMN,
    FIRST_FEATURE,
    HEADER_CELLS,
    VECTOR_CELLS,
    WORD,
    Float64s,
    Int64s,
    Layout,
)
from millrace_engine.partials import CELLS_MAX, FEATURE_COLUMNS
from millrace_engine.sketches import Cells, cells_like
from millrace_engine.values import COPIES, FORMAT, GROUP_MAGIC
from millrace_engine.walkable import is_walkable
from millrace_engine.windows import SEEN_CELLS, Asked, group_values

ABSENT = -1
"""The size of a value that is not there."""
Float32s = NDArray[np.float32]
STATUS, AGE_MS, COPIED, PARTITION, OFFSET, TILE_CELLS_HELD = range(6)
"""What is said of a value beside its features."""
FRESH, STALE, NOTHING_STORED, FOREIGN, CUT = range(5)
"""How a value stands. FOREIGN: not written by this version of the format. CUT: it is not what it says it is."""

_FORMAT = FORMAT << 8 | GROUP_MAGIC
_ROWS = 3
_WINDOW_COLUMNS, _GROUP_COLUMNS = FIRST_CELL + 1, WORD + 1


def packed(layout: Layout) -> Int64s:
    """Return what `read_all` needs of a layout: how many rows each table has, then the tables end to end."""
    tables = (layout.features, layout.windows, layout.groups)
    rows = np.array([len(table) for table in tables], dtype=np.int64)
    return np.concatenate([rows, *(table.ravel() for table in tables)])


@bare
def _unpacked(tables: Int64s) -> Layout:
    features, windows, groups = tables[0], tables[1], tables[2]
    a = _ROWS + features * FEATURE_COLUMNS
    b = a + windows * _WINDOW_COLUMNS
    of_groups = tables[b:].reshape(groups, _GROUP_COLUMNS)
    return Layout(
        tables[_ROWS:a].reshape(features, FEATURE_COLUMNS),
        tables[a:b].reshape(windows, _WINDOW_COLUMNS),
        of_groups,
        of_groups,
        of_groups,
        tables,
        0,
        0,
    )


@kernel
def read_all(tables: Int64s, values: Int64s, asked: Int64s, currents: Float64s, said: Int64s, out: Float32s) -> None:
    """Write to `said` how each value stands, and to `out` all features of each entity: of what is unreadable, NaN.

    `values` lie end to end, of each entity one for each group. `asked`: the size of each in bytes, then the time of
    each entity. `said` is [entities, groups, STATUS..TILE_CELLS_HELD]. `currents`: the columns of the event that is
    asked about, of each entity, or of none.
    """
    _read_each(tables, values, asked, currents, (said, out, cells_like(CELLS_MAX + SEEN_CELLS * tables[1])))


@bare
def _read_each(
    tables: Int64s, values: Int64s, asked: Int64s, currents: Float64s, into: tuple[Int64s, Float32s, Cells]
) -> None:
    said, out, scratch = into
    layout, cells = _unpacked(tables), Cells(values, values.view(np.float64))
    n, at = len(layout.groups), 0
    for entity in range(len(out)):
        given, time_us = len(currents) > 0, asked[len(out) * n + entity]
        for group in range(n):
            size, facts = asked[entity * n + group], said[entity, group]
            one = Asked(group, NO_BLOCK if size == ABSENT else at, time_us, given)
            features = out[entity, layout.groups[group, FIRST_FEATURE] : layout.groups[group, END_FEATURE]]
            facts[STATUS] = _status(layout, values, one, size)
            if facts[STATUS] >= FOREIGN:
                features[:] = np.nan
            else:
                _say(values, one, facts)
                _read(layout, cells, one, currents[entity if given else 0 :], (scratch, features))
            at += max(0, size) // 8


@bare
def _status(layout: Layout, values: Int64s, one: Asked, size: int) -> int:
    at = one.block
    if at == NO_BLOCK:
        return NOTHING_STORED
    if size < 8 * HEADER_CELLS or values[at] & 0xFFFF != _FORMAT:
        return FOREIGN
    if not is_walkable(layout, one.group, values, at, size // 8):
        return CUT
    return STALE if one.at_us < values[at + 6] else FRESH


@bare
def _say(values: Int64s, one: Asked, said: Int64s) -> None:
    at = one.block
    if at != NO_BLOCK:
        said[AGE_MS] = max(0, one.at_us - values[at + 3]) // 1_000
        said[COPIED] = values[at] >> 16 & COPIES
        said[PARTITION] = values[at + 2] & 0xFFFFFFFF
        said[OFFSET] = values[at + 1]
        said[TILE_CELLS_HELD] = values[at + 7]


@bare
def _read(layout: Layout, cells: Cells, one: Asked, currents: Float64s, into: tuple[Cells, Float32s]) -> None:
    """Write the features of a group: those that were stored, where they hold at the time, else folded anew."""
    at, (scratch, out) = one.block, into
    if at == NO_BLOCK or one.current or not cells.ints[at + 3] < one.at_us <= cells.ints[at + 5]:
        first = layout.groups[one.group, FIRST_COLUMN]
        current = currents[0, first : first + layout.groups[one.group, COLUMNS]]
        group_values(layout, cells, one, current, scratch, out)
        return
    stored = cells.ints[at + HEADER_CELLS : at + HEADER_CELLS + layout.groups[one.group, VECTOR_CELLS]].view(np.float32)
    for f in range(len(out)):
        out[f] = stored[f]
