"""The records of entities between arena and store: the same cells, sealed when they leave."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_engine import ids
from millrace_engine.arena import (
    APPENDED_US,
    NO_BLOCK,
    OFFSET,
    Arena,
    block_of,
    class_of,
    is_full,
    lent_arena,
    lent_layout,
    take,
)
from millrace_engine.jit import borrowed, kernel
from millrace_engine.layout import (
    CAPACITY,
    END_FEATURE,
    FIRST_FEATURE,
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
from millrace_engine.sketches import Cells, lent_cells
from millrace_engine.windows import Asked, fresh_until_us, group_values

IDS_HEADER_CELLS = 3


class Stored(NamedTuple):
    """Records laid end to end. `first` and `cells` are [entities, 1 + groups]: the id horizon, then each group's value.

    0 cells: there is none.
    """

    ints: Int64s
    first: NDArray[np.int64]
    cells: NDArray[np.int64]


@kernel
def _lent(stored: Stored) -> Stored:
    return Stored(borrowed(stored.ints), borrowed(stored.first), borrowed(stored.cells))


@kernel
def sizes(layout: Layout, arena: Arena, slots: Int64s, cells: NDArray[np.int64]) -> None:
    """Write how many cells each record of the slots takes."""
    layout, arena = lent_layout(layout), lent_arena(arena)
    groups, kinds = len(layout.groups), len(layout.kinds)
    for s in range(len(slots)):
        n = IDS_HEADER_CELLS + 2 * kinds
        for kind in range(kinds):
            at = block_of(arena, slots[s], groups + kind)
            n += 0 if at == NO_BLOCK else 2 * arena.cells.ints[at + 1]
        cells[s, 0] = n
        for group in range(groups):
            cells[s, 1 + group] = 0
            if block_of(arena, slots[s], group) != NO_BLOCK:
                place = place_of(layout, arena, slots[s], group)
                cells[s, 1 + group] = place.ring - place.at + place.n * place.stride


@kernel
def seal_all(layout: Layout, arena: Arena, slots: Int64s, word: int, stored: Stored, scratch: Cells) -> None:
    """Write the records of the slots. `word` is the first cell of an id horizon."""
    layout, arena, scratch, stored = lent_layout(layout), lent_arena(arena), lent_cells(scratch), _lent(stored)
    for s in range(len(slots)):
        _seal_ids(layout, arena, slots[s], word, stored.ints[stored.first[s, 0] :])
        for group in range(len(layout.groups)):
            if stored.cells[s, 1 + group] > 0:
                _seal_group(layout, arena, slots[s], group, scratch)
                at, to, n = block_of(arena, slots[s], group), stored.first[s, 1 + group], stored.cells[s, 1 + group]
                stored.ints[to : to + n] = arena.cells.ints[at : at + n]


@kernel
def _seal_ids(layout: Layout, arena: Arena, slot: int, word: int, out: Int64s) -> None:
    groups, kinds, ints = len(layout.groups), len(layout.kinds), arena.cells.ints
    out[0], out[1], out[2] = word, arena.slots[slot, OFFSET], arena.slots[slot, APPENDED_US]
    to = IDS_HEADER_CELLS + 2 * kinds
    for kind in range(kinds):
        place = groups + kind
        at = block_of(arena, slot, place)
        out[IDS_HEADER_CELLS + 2 * kind] = ids.newest_us(arena, slot, place)
        out[IDS_HEADER_CELLS + 2 * kind + 1] = 0
        if at != NO_BLOCK:
            capacity = layout.blocks[class_of(arena, slot, place), CAPACITY]
            out[IDS_HEADER_CELLS + 2 * kind + 1] = ints[at + 1]
            for i in range(ints[at + 1]):
                entry = at + ids.ENTRIES + 2 * ((ints[at + 2] + i) % capacity)
                out[to], out[to + 1] = ints[entry], ints[entry + 1]
                to += 2


@kernel
def _seal_group(layout: Layout, arena: Arena, slot: int, group: int, scratch: Cells) -> None:
    """Write the header and the vector as they stand right after the newest event."""
    groups, at, ints = layout.groups, block_of(arena, slot, group), arena.cells.ints
    newest_us = ids.newest_us(arena, slot, len(groups) + groups[group, KIND])
    asked = Asked(group, at, newest_us + 1, False)
    vector = np.empty(len(layout.features), dtype=np.float32)
    group_values(layout, arena.cells, asked, scratch.reals, scratch, vector)
    ints[at], ints[at + 1] = groups[group, WORD], arena.slots[slot, OFFSET]
    ints[at + 3], ints[at + 4] = newest_us, arena.slots[slot, APPENDED_US]
    ints[at + 5] = fresh_until_us(layout, arena.cells, asked)
    ints[at + 6] = newest_us - groups[group, LATENESS_US]
    packed = np.zeros(2 * groups[group, VECTOR_CELLS], dtype=np.float32)
    first, end = groups[group, FIRST_FEATURE], groups[group, END_FEATURE]
    packed[: end - first] = vector[first:end]
    ints[at + HEADER_CELLS : at + HEADER_CELLS + groups[group, VECTOR_CELLS]] = packed.view(np.int64)


@kernel
def load_all(layout: Layout, arena: Arena, slots: Int64s, stored: Stored, first: int) -> int:
    """Take records into empty slots from the `first` on; return the first that was not: the arena must be larger."""
    layout, arena, stored = lent_layout(layout), lent_arena(arena), _lent(stored)
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


@kernel
def _load_ids(layout: Layout, arena: Arena, slot: int, record: Int64s) -> None:
    groups, kinds = len(layout.groups), len(layout.kinds)
    arena.slots[slot, OFFSET], arena.slots[slot, APPENDED_US] = record[1], record[2]
    at = IDS_HEADER_CELLS + 2 * kinds
    for kind in range(kinds):
        newest_us, n = record[IDS_HEADER_CELLS + 2 * kind], record[IDS_HEADER_CELLS + 2 * kind + 1]
        if newest_us != NEVER_US:
            place = groups + kind
            class_ = layout.first_class[place] + _class_for(n, IDS_CAPACITIES)
            to = take(layout, arena, slot, place, class_)
            ints = arena.cells.ints
            ints[to], ints[to + 1], ints[to + 2] = newest_us, n, 0
            ints[to + ids.ENTRIES : to + ids.ENTRIES + 2 * n] = record[at : at + 2 * n]
            at += 2 * n


@kernel
def _class_for(n: int, capacities: tuple[int, ...]) -> int:
    """Return the first class whose blocks take n entries."""
    class_ = 0
    for capacity in capacities:
        class_ += n > capacity
    return class_


@kernel
def _load_group(layout: Layout, arena: Arena, slot: int, group: int, record: Int64s) -> None:
    n = record[2] >> 32
    class_ = HOT if record[7] > 0 else _class_for(n, RING_CAPACITIES)
    at = take(layout, arena, slot, group, layout.first_class[group] + class_)
    arena.cells.ints[at : at + len(record)] = record
    set_length(layout, arena.cells, at, n)
