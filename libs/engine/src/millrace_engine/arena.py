"""The memory of many entities: blocks of cells in one array, handed out by class and taken back."""

from typing import NamedTuple

import numpy as np

from millrace_engine.jit import bare, leaf
from millrace_engine.layout import CELLS, NEVER_US, Int64s, Layout
from millrace_engine.partials import Table
from millrace_engine.sketches import Cells, cells_of

NO_BLOCK = -1
OFFSET, APPENDED_US, DIRTY, STORED, STORED_US, BLOCKS = range(6)
"""Columns of a slot: the source offset it stands at, when that was appended, whether it has changed since it was
stored, offset and append time of when it was; from BLOCKS on, for each group and event type, where its block lies, of
which class it is, since when it differs from what is stored (of a group: the time of the first event that went into a
tile; of a type: the number of ids there), and from which of its cells on the ring of a group does."""
PLACE_COLUMNS = 4
ALL_DIFFERS = NEVER_US
"""Since when: nothing of the block is stored as it lies."""


class Arena(NamedTuple):
    """All blocks, and what is known of each entity by its slot.

    `free`: the first free block of each class (a free block's first cell names the next one); at its end, where the
    cells begin that were never handed out. Few arrays: every call of a kernel copies what describes them.
    """

    cells: Cells
    slots: Table
    free: Table
    changed: Int64s
    """How many slots have changed since they were stored, then which."""


def arena_of(layout: Layout, *, cells: int, slots: int) -> Arena:
    """Return an arena in which nothing is taken."""
    free = np.full((len(layout.blocks) + 1, 1), NO_BLOCK, dtype=np.int64)
    free[-1] = 0
    nothing = Arena(
        cells_of(np.zeros(max(cells, layout.growth), dtype=np.int64)),
        _slots(layout, 0),
        free,
        np.zeros(1, dtype=np.int64),
    )
    return with_slots(nothing, layout, slots)


def _slots(layout: Layout, n: int) -> Table:
    slots = np.full((n, BLOCKS + PLACE_COLUMNS * len(layout.first_class)), NO_BLOCK, dtype=np.int64)
    slots[:, APPENDED_US : DIRTY + 1] = 0
    slots[:, BLOCKS + 2 :: PLACE_COLUMNS] = ALL_DIFFERS
    return slots


def with_cells(arena: Arena, cells: int) -> Arena:
    """Return an arena of `cells` cells that holds what `arena` holds."""
    larger = np.zeros(cells, dtype=np.int64)
    larger[: len(arena.cells.ints)] = arena.cells.ints
    return arena._replace(cells=cells_of(larger))


def with_slots(arena: Arena, layout: Layout, slots: int) -> Arena:
    """Return an arena of `slots` slots that holds what `arena` holds."""
    more = slots - len(arena.slots)
    changed = np.concatenate([arena.changed, np.zeros(more, dtype=np.int64)])
    return arena._replace(slots=np.concatenate([arena.slots, _slots(layout, more)]), changed=changed)


@leaf
def is_full(layout: Layout, arena: Arena) -> bool:
    """Say whether the next event might find no room."""
    return arena.free[-1, 0] + layout.growth > len(arena.cells.ints)


@leaf
def block_of(arena: Arena, slot: int, place: int) -> int:
    """Return where the block of a group or event type lies, or NO_BLOCK."""
    return arena.slots[slot, BLOCKS + PLACE_COLUMNS * place]


@leaf
def class_of(arena: Arena, slot: int, place: int) -> int:
    """Return of which class the block of a group or event type is."""
    return arena.slots[slot, BLOCKS + PLACE_COLUMNS * place + 1]


@leaf
def differs_since(arena: Arena, slot: int, place: int) -> int:
    """Return since when a block differs from what is stored."""
    return arena.slots[slot, BLOCKS + PLACE_COLUMNS * place + 2]


@leaf
def set_differs_since(arena: Arena, slot: int, place: int, since: int) -> None:
    """Note since when a block differs from what is stored."""
    arena.slots[slot, BLOCKS + PLACE_COLUMNS * place + 2] = since


@leaf
def ring_since(arena: Arena, slot: int, group: int) -> int:
    """Return the cell of a group's block from which on its ring differs from what is stored, where not all differs."""
    return arena.slots[slot, BLOCKS + PLACE_COLUMNS * group + 3]


@leaf
def set_ring_since(arena: Arena, slot: int, group: int, cell: int) -> None:
    """Note from which cell of a group's block on its ring differs from what is stored."""
    arena.slots[slot, BLOCKS + PLACE_COLUMNS * group + 3] = cell


@leaf
def touch(arena: Arena, slot: int) -> None:
    """Note that a slot has changed."""
    if arena.slots[slot, DIRTY] == 0:
        arena.slots[slot, DIRTY] = 1
        arena.changed[0] += 1
        arena.changed[arena.changed[0]] = slot


@bare
def take(layout: Layout, arena: Arena, slot: int, place: int, class_: int) -> int:
    """Give a slot a block of a class in place of the one it has, whose cells are not touched; return where it lies."""
    at = arena.free[class_, 0]
    if at == NO_BLOCK:
        at = arena.free[-1, 0]
        arena.free[-1, 0] += layout.blocks[class_, CELLS]
    else:
        arena.free[class_, 0] = arena.cells.ints[at]
    arena.slots[slot, BLOCKS + PLACE_COLUMNS * place] = at
    arena.slots[slot, BLOCKS + PLACE_COLUMNS * place + 1] = class_
    set_differs_since(arena, slot, place, ALL_DIFFERS)
    return at


@bare
def give_back(arena: Arena, at: int, class_: int) -> None:
    """Take a block back."""
    arena.cells.ints[at] = arena.free[class_, 0]
    arena.free[class_, 0] = at


@bare
def forget(arena: Arena, slot: int) -> None:
    """Free a slot: it is empty then."""
    for place in range((arena.slots.shape[1] - BLOCKS) // PLACE_COLUMNS):
        if block_of(arena, slot, place) != NO_BLOCK:
            give_back(arena, block_of(arena, slot, place), class_of(arena, slot, place))
            arena.slots[slot, BLOCKS + PLACE_COLUMNS * place] = NO_BLOCK
    arena.slots[slot, OFFSET] = arena.slots[slot, STORED] = -1
    arena.slots[slot, APPENDED_US] = 0
    arena.slots[slot, DIRTY] = 0
