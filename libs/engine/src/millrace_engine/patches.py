"""What has changed of a busy entity since it was stored: a few ranges instead of its whole records.

The id horizon of a busy entity takes 16 KiB and its tiles as much again, of which an event touches a few hundred bytes.
A patch names the source offset of the record it changes (values.py has the layout); the store takes it for that record
alone.
"""

from millrace_engine import ids
from millrace_engine.arena import (
    ALL_DIFFERS,
    APPENDED_US,
    DIRTY,
    NO_BLOCK,
    OFFSET,
    STORED,
    STORED_US,
    Arena,
    block_of,
    class_of,
    differs_since,
    ring_since,
    set_differs_since,
)
from millrace_engine.jit import bare, leaf
from millrace_engine.layout import (
    ALWAYS_US,
    CAPACITY,
    END_WINDOW,
    FIRST_CELL,
    FIRST_WINDOW,
    HEADER_CELLS,
    TILE_CELLS,
    TILE_US,
    TILES,
    VECTOR_CELLS,
    WORD,
    Int64s,
    Layout,
)
from millrace_engine.records import (
    IDS_HEADER_CELLS,
    TYPE_CELLS,
    Stored,
    group_cells,
    ids_cells,
    mark_group_stored,
    seal_group,
    seal_ids,
)
from millrace_engine.rings import place_of
from millrace_engine.sketches import Cells, lay
from millrace_engine.values import PATCH_MAGIC

HEAD_CELLS = 4
WORTH_CELLS = 96
"""Records of fewer cells are written whole."""
AGE_US_MAX = 3_600_000_000
"""A record that was stored longer ago is written whole: it may have expired."""


@bare
def cells_max(layout: Layout, arena: Arena, slots: Int64s) -> int:
    """Return how many cells the records of the slots take if all are written whole."""
    n = 0
    for slot in slots:
        n += ids_cells(layout, arena, slot)
        for group in range(len(layout.groups)):
            n += group_cells(layout, arena, slot, group)
    return n


@bare
def seal(layout: Layout, arena: Arena, slots: Int64s, stored: Stored, scratch: Cells, how: tuple[int, bool]) -> int:
    """Write the records of slots, end to end, or patches; return how many cells they take.

    `how`: the first cell of an id horizon, and whether records are written whole that could be patched.
    """
    to = 0
    for s in range(len(slots)):
        stored.first[s, 0] = to
        to += _sealed_ids(layout, arena, slots[s], how, stored.ints[to:])
        stored.cells[s, 0] = to - stored.first[s, 0]
        for group in range(len(layout.groups)):
            stored.first[s, 1 + group] = to
            to += _sealed_group(layout, arena, (slots[s], group), how[1], stored.ints[to:], scratch)
            stored.cells[s, 1 + group] = to - stored.first[s, 1 + group]
    return to


@bare
def mark_stored(layout: Layout, arena: Arena) -> None:
    """Take everything that has changed as stored."""
    groups = len(layout.groups)
    for i in range(arena.changed[0]):
        slot = arena.changed[1 + i]
        arena.slots[slot, DIRTY] = 0
        arena.slots[slot, STORED] = arena.slots[slot, OFFSET]
        arena.slots[slot, STORED_US] = arena.slots[slot, APPENDED_US]
        for place in range(groups + len(layout.kinds)):
            at = block_of(arena, slot, place)
            if at != NO_BLOCK and place < groups:
                mark_group_stored(layout, arena, slot, place)
            elif at != NO_BLOCK:
                set_differs_since(arena, slot, place, arena.cells.ints[at + 2])
    arena.changed[0] = 0


@leaf
def _is_known(arena: Arena, slot: int) -> bool:
    """Say whether the store surely holds what was stored last."""
    return arena.slots[slot, STORED] >= 0 and arena.slots[slot, APPENDED_US] - arena.slots[slot, STORED_US] < AGE_US_MAX


@leaf
def _head(arena: Arena, slot: int, word: int, out: Int64s) -> None:
    out[0] = (word & ~0xFF) | PATCH_MAGIC
    out[1], out[2], out[3] = arena.slots[slot, OFFSET], arena.slots[slot, STORED], 0


@leaf
def _range(out: Int64s, to: int, place: int, cells: Int64s) -> int:
    """Write a range of a record that begins at the cell `place`; return where the next one is written."""
    first = _opened(out, to, place, len(cells))
    lay(cells, out[first:])
    return first + len(cells)


@leaf
def _opened(out: Int64s, to: int, place: int, n: int) -> int:
    """Begin a range of n cells; return where they are written."""
    out[3] += 1
    out[to] = ((8 * place) << 32) | (8 * n)
    return to + 1


# --- the id horizon --------------------------------------------------------------------------------------------------
@leaf
def _sealed_ids(layout: Layout, arena: Arena, slot: int, how: tuple[int, bool], out: Int64s) -> int:
    word, all_ = how
    whole = ids_cells(layout, arena, slot)
    if all_ or whole < WORTH_CELLS or not _is_known(arena, slot) or not _ids_may(layout, arena, slot, whole):
        seal_ids(layout, arena, slot, word, out)
        return whole
    _head(arena, slot, word, out)
    header = _opened(out, HEAD_CELLS, 0, IDS_HEADER_CELLS)
    out[header], out[header + 1], out[header + 2] = word, arena.slots[slot, OFFSET], arena.slots[slot, APPENDED_US]
    to, place = header + IDS_HEADER_CELLS, IDS_HEADER_CELLS
    for kind in range(len(layout.kinds)):
        block = len(layout.groups) + kind
        if block_of(arena, slot, block) == NO_BLOCK:
            place += TYPE_CELLS
            continue
        to = _changed_type(layout, arena, (slot, block), out, to, place)
        place += TYPE_CELLS + 2 * layout.blocks[class_of(arena, slot, block), CAPACITY]
    return to


@leaf
def _ids_may(layout: Layout, arena: Arena, slot: int, whole: int) -> bool:
    """Say whether a patch is possible and shorter: no circle was made anew, and few ids are new."""
    new = 0
    for kind in range(len(layout.kinds)):
        block = len(layout.groups) + kind
        at = block_of(arena, slot, block)
        if at != NO_BLOCK:
            if differs_since(arena, slot, block) == ALL_DIFFERS:
                return False
            new += _new_ids(layout, arena, slot, block)
    return 2 * new + 16 * (1 + len(layout.kinds)) < whole


@leaf
def _new_ids(layout: Layout, arena: Arena, slot: int, block: int) -> int:
    """Return how many ids of an event type are new: where more came than its circle takes, all that it holds."""
    came = arena.cells.ints[block_of(arena, slot, block) + 2] - differs_since(arena, slot, block)
    return min(came, layout.blocks[class_of(arena, slot, block), CAPACITY])


@leaf
def _changed_type(layout: Layout, arena: Arena, where: tuple[int, int], out: Int64s, to: int, place: int) -> int:
    at, ints = block_of(arena, where[0], where[1]), arena.cells.ints
    capacity = layout.blocks[class_of(arena, where[0], where[1]), CAPACITY]
    to = _range(out, to, place, ints[at : at + ids.ENTRIES])
    n = _new_ids(layout, arena, where[0], where[1])
    first = (ints[at + 2] - n) % capacity
    before_turn = min(n, capacity - first)
    for begin, length in ((first, before_turn), (0, n - before_turn)):
        if length > 0:
            cell, into = at + ids.ENTRIES + begin, place + TYPE_CELLS + begin
            to = _range(out, to, into, ints[cell : cell + length])
            to = _range(out, to, into + capacity, ints[cell + capacity : cell + capacity + length])
    return to


# --- values ----------------------------------------------------------------------------------------------------------
@leaf
def _sealed_group(layout: Layout, arena: Arena, of: tuple[int, int], all_: bool, out: Int64s, scratch: Cells) -> int:
    slot, group = of
    whole = group_cells(layout, arena, slot, group)
    if whole == 0:
        return 0
    seal_group(layout, arena, slot, group, scratch)
    place, ints = place_of(layout, arena, slot, group), arena.cells.ints
    since, ring = differs_since(arena, slot, group), ring_since(arena, slot, group)
    may = whole >= WORTH_CELLS and place.n > 0 and since != ALL_DIFFERS and _is_known(arena, slot)
    start = HEADER_CELLS + layout.groups[group, VECTOR_CELLS]
    newest = ints[place.ring] if since != ALWAYS_US else since
    if all_ or not may or HEAD_CELLS + start + _touched(layout, group, since, newest) + whole - ring >= whole:
        lay(ints[place.at : place.at + whole], out)
        return whole
    _head(arena, slot, layout.groups[group, WORD], out)
    to = _range(out, HEAD_CELLS, 0, ints[place.at : place.at + start])
    for w in range(layout.groups[group, FIRST_WINDOW], layout.groups[group, END_WINDOW]):
        to = _changed_tiles(layout, ints[place.at :], (w, start, since, newest), out, to)
    return _range(out, to, ring, ints[place.at + ring : place.at + whole]) if ring < whole else to


@leaf
def _touched(layout: Layout, group: int, since: int, newest: int) -> int:
    """Return how many cells the tiles take, ranges included, that events of [since, newest] lie in."""
    n = 2
    for w in range(layout.groups[group, FIRST_WINDOW], layout.groups[group, END_WINDOW]):
        tile_us = layout.windows[w, TILE_US]
        tiles = min(newest // tile_us - since // tile_us + 1, layout.windows[w, TILES])
        n += 2 + tiles * layout.windows[w, TILE_CELLS]
    return n


@leaf
def _changed_tiles(layout: Layout, record: Int64s, what: tuple[int, int, int, int], out: Int64s, to: int) -> int:
    w, start, since, newest = what
    tile_us, tiles, size = layout.windows[w, TILE_US], layout.windows[w, TILES], layout.windows[w, TILE_CELLS]
    if since == ALWAYS_US or tiles == 0:
        return to
    n = min(newest // tile_us - since // tile_us + 1, tiles)
    first = (newest // tile_us - n + 1) % tiles
    before_turn = min(n, tiles - first)
    for begin, length in ((first, before_turn), (0, n - before_turn)):
        if length > 0:
            cell = start + layout.windows[w, FIRST_CELL] + begin * size
            to = _range(out, to, cell, record[cell : cell + length * size])
    return to
