"""The records of entities between arena and store: the same cells, sealed when they leave."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_engine import ids
from millrace_engine.arena import (
    APPENDED_US,
    NO_BLOCK,
    OFFSET,
    STORED,
    STORED_US,
    Arena,
    block_of,
    class_of,
    is_full,
    set_differs_since,
    set_ring_since,
    take,
)
from millrace_engine.jit import bare, leaf
from millrace_engine.layout import (
    ALWAYS_US,
    CAPACITY,
    HEADER_CELLS,
    HOT,
    IDS_CAPACITIES,
    KIND,
    LATENESS_US,
    NEVER_US,
    RING_CAPACITIES,
    VECTOR_CELLS,
    WORD,
    Int64s,
    Layout,
)
from millrace_engine.rings import place_of, set_length
from millrace_engine.sketches import Cells, lay
from millrace_engine.walkable import is_walkable
from millrace_engine.windows import Asked, fresh_until_us, group_values

IDS_HEADER_CELLS = 3
TYPE_CELLS = 4
"""Of each event type in an id horizon: newest event time, ids remembered, ids ever, size of the circle that follows."""


class Stored(NamedTuple):
    """Records laid end to end. `first` and `cells` are [entities, 1 + groups]: the id horizon, then each group's value.

    0 cells: there is none.
    """

    ints: Int64s
    first: NDArray[np.int64]
    cells: NDArray[np.int64]


@leaf
def ids_cells(layout: Layout, arena: Arena, slot: int) -> int:
    """Return how many cells an id horizon takes."""
    groups, kinds = len(layout.groups), len(layout.kinds)
    n = IDS_HEADER_CELLS + TYPE_CELLS * kinds
    for kind in range(kinds):
        if block_of(arena, slot, groups + kind) != NO_BLOCK:
            n += 2 * layout.blocks[class_of(arena, slot, groups + kind), CAPACITY]
    return n


@leaf
def group_cells(layout: Layout, arena: Arena, slot: int, group: int) -> int:
    """Return how many cells a group's value takes; 0: it has none."""
    if block_of(arena, slot, group) == NO_BLOCK:
        return 0
    place = place_of(layout, arena, slot, group)
    return place.ring - place.at + place.n * place.stride


@leaf
def seal_ids(layout: Layout, arena: Arena, slot: int, word: int, out: Int64s) -> None:
    """Write an entity's id horizon."""
    groups, ints = len(layout.groups), arena.cells.ints
    out[0], out[1], out[2] = word, arena.slots[slot, OFFSET], arena.slots[slot, APPENDED_US]
    to = IDS_HEADER_CELLS
    for kind in range(len(layout.kinds)):
        at, capacity = block_of(arena, slot, groups + kind), 0
        out[to], out[to + 1], out[to + 2] = NEVER_US, 0, 0
        if at != NO_BLOCK:
            capacity = layout.blocks[class_of(arena, slot, groups + kind), CAPACITY]
            lay(ints[at : at + ids.ENTRIES], out[to:])
            entries = at + ids.ENTRIES
            lay(ints[entries : entries + 2 * capacity], out[to + TYPE_CELLS :])
        out[to + 3] = capacity
        to += TYPE_CELLS + 2 * capacity


@leaf
def seal_group(layout: Layout, arena: Arena, slot: int, group: int, scratch: Cells) -> None:
    """Write the header and the vector as they stand right after the newest event."""
    groups, at, ints = layout.groups, block_of(arena, slot, group), arena.cells.ints
    newest_us = ids.newest_us(arena, slot, len(groups) + groups[group, KIND])
    asked = Asked(group, at, newest_us + 1, False)
    vector = ints[at + HEADER_CELLS : at + HEADER_CELLS + groups[group, VECTOR_CELLS]].view(np.float32)
    group_values(layout, arena.cells, asked, scratch.reals, scratch, vector)
    ints[at], ints[at + 1] = groups[group, WORD], arena.slots[slot, OFFSET]
    ints[at + 3], ints[at + 4] = newest_us, arena.slots[slot, APPENDED_US]
    ints[at + 5] = fresh_until_us(layout, arena.cells, asked, scratch)
    ints[at + 6] = newest_us - groups[group, LATENESS_US]


@bare
def are_walkable(layout: Layout, stored: Stored) -> bool:
    """Say whether the kernels may walk the values of all groups."""
    for s in range(len(stored.first)):
        for group in range(len(layout.groups)):
            n = stored.cells[s, 1 + group]
            if n > 0 and not is_walkable(layout, group, stored.ints, stored.first[s, 1 + group], n):
                return False
    return True


@bare
def load_all(layout: Layout, arena: Arena, slots: Int64s, stored: Stored, first: int) -> int:
    """Take records into empty slots from the `first` on; return the first that was not: the arena must be larger."""
    for s in range(first, len(slots)):
        if is_full(layout, arena):
            return s
        if stored.cells[s, 0] > 0:
            _load_ids(layout, arena, slots[s], stored.ints[stored.first[s, 0] :])
            for group in range(len(layout.groups)):
                n = stored.cells[s, 1 + group]
                if n > 0:
                    at = stored.first[s, 1 + group]
                    _load_group(layout, arena, slots[s], group, stored.ints[at : at + n])
    return len(slots)


@bare
def _load_ids(layout: Layout, arena: Arena, slot: int, record: Int64s) -> None:
    groups, kinds = len(layout.groups), len(layout.kinds)
    arena.slots[slot, OFFSET], arena.slots[slot, APPENDED_US] = record[1], record[2]
    arena.slots[slot, STORED], arena.slots[slot, STORED_US] = record[1], record[2]
    at = IDS_HEADER_CELLS
    for kind in range(kinds):
        capacity = record[at + 3]
        if capacity > 0:
            place = groups + kind
            class_ = layout.first_class[place] + _class_for(capacity, IDS_CAPACITIES)
            to = take(layout, arena, slot, place, class_)
            ints, entries = arena.cells.ints, to + ids.ENTRIES
            lay(record[at : at + ids.ENTRIES], ints[to:])
            lay(record[at + TYPE_CELLS : at + TYPE_CELLS + 2 * capacity], ints[entries:])
            set_differs_since(arena, slot, place, record[at + 2])
        at += TYPE_CELLS + 2 * capacity


@bare
def _class_for(n: int, capacities: tuple[int, ...]) -> int:
    """Return the first class whose blocks take n entries."""
    class_ = 0
    for capacity in capacities:
        class_ += n > capacity
    return class_


@bare
def _load_group(layout: Layout, arena: Arena, slot: int, group: int, record: Int64s) -> None:
    n = record[2] >> 32
    class_ = HOT if record[7] > 0 else _class_for(n, RING_CAPACITIES)
    at = take(layout, arena, slot, group, layout.first_class[group] + class_)
    lay(record, arena.cells.ints[at:])
    set_length(layout, arena.cells, at, n)
    mark_group_stored(layout, arena, slot, group)


@leaf
def mark_group_stored(layout: Layout, arena: Arena, slot: int, group: int) -> None:
    """Take a group's tiles and its ring, up to the end, as stored."""
    set_differs_since(arena, slot, group, ALWAYS_US)
    set_ring_since(arena, slot, group, group_cells(layout, arena, slot, group))
