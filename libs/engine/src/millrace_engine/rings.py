"""How an event enters a group: into the ring of the newest ones, from there into tiles, and out of sight."""

from typing import NamedTuple

from millrace_engine.arena import (
    ALL_DIFFERS,
    NO_BLOCK,
    Arena,
    block_of,
    class_of,
    differs_since,
    give_back,
    ring_since,
    set_differs_since,
    set_ring_since,
    take,
)
from millrace_engine.jit import bare, leaf
from millrace_engine.layout import (
    ALL_TILE_CELLS,
    CAPACITY,
    CELLS,
    COLUMNS,
    END_FEATURE,
    END_WINDOW,
    FIRST_CELL,
    FIRST_COLUMN,
    FIRST_FEATURE,
    FIRST_WINDOW,
    HEADER_CELLS,
    HOT,
    LATENESS_US,
    NEVER_US,
    REACH_US,
    RING,
    TILE_CELLS,
    TILE_US,
    TILES,
    VECTOR_CELLS,
    WIDTH_US,
    Float64s,
    Layout,
)
from millrace_engine.partials import PARTIAL, WINDOW, Into, Span, clear, fold
from millrace_engine.sketches import Cells
from millrace_engine.windows import Asked, tile_at


class Place(NamedTuple):
    """A group's ring in its block."""

    at: int
    ring: int
    stride: int
    n: int


@leaf
def place_of(layout: Layout, arena: Arena, slot: int, group: int) -> Place:
    """Return where a group's ring lies."""
    at = block_of(arena, slot, group)
    ring = at + HEADER_CELLS + layout.groups[group, VECTOR_CELLS] + arena.cells.ints[at + 7]
    return Place(at, ring, 2 + layout.groups[group, COLUMNS], arena.cells.ints[at + 2] >> 32)


@leaf
def set_length(layout: Layout, cells: Cells, at: int, n: int) -> None:
    """Write how many entries a ring holds, beside the partition."""
    cells.ints[at + 2] = (n << 32) | layout.partition


@bare
def enter(
    layout: Layout, arena: Arena, where: tuple[int, int], event: tuple[int, int, int], arguments: Float64s
) -> None:
    """Enter an event (time, id digest, newest event time with it) into a group (slot, group)."""
    slot, group = where
    place = _roomy(layout, arena, slot, group)
    cells = arena.cells
    entry = place.ring + place.n * place.stride
    while entry > place.ring and cells.ints[entry - place.stride] > event[0]:
        for i in range(entry, entry + place.stride):
            cells.ints[i] = cells.ints[i - place.stride]
        entry -= place.stride
    cells.ints[entry], cells.ints[entry + 1] = event[0], event[1]
    first = layout.groups[group, FIRST_COLUMN]
    for column in range(place.stride - 2):
        cells.reals[entry + 2 + column] = arguments[first + column]
    set_length(layout, cells, place.at, place.n + 1)
    _note_entry(arena, slot, group, place, entry)
    if place.n == RING:
        _overflow(layout, arena, slot, group, event[2])
    _trim(layout, arena, slot, group, event[2])


@leaf
def _roomy(layout: Layout, arena: Arena, slot: int, group: int) -> Place:
    """Return a ring that takes another entry: this one, moved back in its block where need be, or a larger one."""
    class_ = layout.first_class[group]
    if block_of(arena, slot, group) == NO_BLOCK:
        at = take(layout, arena, slot, group, class_)
        for i in range(at, at + HEADER_CELLS + layout.groups[group, VECTOR_CELLS]):
            arena.cells.ints[i] = 0
        set_length(layout, arena.cells, at, 0)
    place = place_of(layout, arena, slot, group)
    held = class_of(arena, slot, group)
    if place.n == layout.blocks[held, CAPACITY]:
        _move(layout, arena, slot, group, held + 1)
    elif place.ring + (place.n + 1) * place.stride > place.at + layout.blocks[held, CELLS]:
        _move_back(layout, arena, slot, group)
    else:
        return place
    return place_of(layout, arena, slot, group)


@leaf
def _note_entry(arena: Arena, slot: int, group: int, place: Place, entry: int) -> None:
    """Note what an entry changes: the ring from there on, and all where it may be older than what lies in tiles."""
    set_ring_since(arena, slot, group, min(ring_since(arena, slot, group), entry - place.at))
    if entry == place.ring and arena.cells.ints[place.at + 7] > 0:
        set_differs_since(arena, slot, group, ALL_DIFFERS)


@leaf
def _move_back(layout: Layout, arena: Arena, slot: int, group: int) -> None:
    """Move a ring that has come to the end of its block back to where its tiles end."""
    place, ints = place_of(layout, arena, slot, group), arena.cells.ints
    first = place.ring - ints[place.at + 7] + layout.groups[group, ALL_TILE_CELLS]
    for i in range(place.n * place.stride):
        ints[first + i] = ints[place.ring + i]
    ints[place.at + 7] = layout.groups[group, ALL_TILE_CELLS]
    set_differs_since(arena, slot, group, ALL_DIFFERS)


@bare
def _move(layout: Layout, arena: Arena, slot: int, group: int, class_: int) -> None:
    """Move a group into a block of another class; one with tiles begins with empty ones."""
    old, held, ints = place_of(layout, arena, slot, group), class_of(arena, slot, group), arena.cells.ints
    at = take(layout, arena, slot, group, class_)
    for i in range(HEADER_CELLS + layout.groups[group, VECTOR_CELLS]):
        ints[at + i] = ints[old.at + i]
    if class_ == layout.first_class[group] + HOT:
        ints[at + 7] = layout.groups[group, ALL_TILE_CELLS]
        start = at + HEADER_CELLS + layout.groups[group, VECTOR_CELLS]
        for i in range(start, start + layout.groups[group, ALL_TILE_CELLS]):
            ints[i] = 0
        for w in range(layout.groups[group, FIRST_WINDOW], layout.groups[group, END_WINDOW]):
            for tile in range(layout.windows[w, TILES]):
                ints[start + layout.windows[w, FIRST_CELL] + tile * layout.windows[w, TILE_CELLS]] = NEVER_US
    new = place_of(layout, arena, slot, group)
    for i in range(old.n * old.stride):
        ints[new.ring + i] = ints[old.ring + i]
    give_back(arena, old.at, held)


@leaf
def _overflow(layout: Layout, arena: Arena, slot: int, group: int, newest_us: int) -> None:
    """Let the oldest entry leave the ring, into the tile of each window that can still see it."""
    place = place_of(layout, arena, slot, group)
    time_us = arena.cells.ints[place.ring]
    horizon_us = newest_us - layout.groups[group, LATENESS_US]
    for w in range(layout.groups[group, FIRST_WINDOW], layout.groups[group, END_WINDOW]):
        tile_us = layout.windows[w, TILE_US]
        seen = time_us // tile_us >= (horizon_us - layout.windows[w, WIDTH_US]) // tile_us
        if seen and layout.windows[w, TILES] > 0:
            if arena.cells.ints[place.at + 7] == 0:
                _move(layout, arena, slot, group, layout.first_class[group] + HOT)
                place = place_of(layout, arena, slot, group)
            _into_tile(layout, arena.cells, Asked(group, place.at, 0, False), w, place.ring)
            since = differs_since(arena, slot, group)
            set_differs_since(arena, slot, group, min(since, time_us))
    _drop_oldest(layout, arena, (slot, group), place, 1)


@leaf
def _into_tile(layout: Layout, cells: Cells, asked: Asked, window: int, entry: int) -> None:
    tile_us = layout.windows[window, TILE_US]
    time_us = cells.ints[entry]
    index = time_us // tile_us
    tile = tile_at(layout, asked, window, index)
    fresh = cells.ints[tile] != index
    cells.ints[tile] = index
    features = layout.features
    for f in range(layout.groups[asked.group, FIRST_FEATURE], layout.groups[asked.group, END_FEATURE]):
        if features[f, WINDOW] == window and features[f, PARTIAL] >= 0:
            at = tile + features[f, PARTIAL]
            if fresh:
                clear(features, f, cells, at)
            fold(features, cells, Span(entry, 1, 0, 1), cells, Into(f, at, (index + 1) * tile_us))


@leaf
def drop(layout: Layout, cells: Cells, place: Place, first: int, end: int) -> None:
    """Take the entries [first, end) out of a ring."""
    gap = (end - first) * place.stride
    for i in range(place.ring + first * place.stride, place.ring + place.n * place.stride - gap):
        cells.ints[i] = cells.ints[i + gap]
    set_length(layout, cells, place.at, place.n - (end - first))


@leaf
def _drop_oldest(layout: Layout, arena: Arena, where: tuple[int, int], place: Place, n: int) -> None:
    """Take the oldest entries out of a ring: beside tiles it moves on, else the others move up."""
    if arena.cells.ints[place.at + 7] > 0:
        arena.cells.ints[place.at + 7] += n * place.stride
        set_length(layout, arena.cells, place.at, place.n - n)
    else:
        drop(layout, arena.cells, place, 0, n)
        set_differs_since(arena, where[0], where[1], ALL_DIFFERS)


@leaf
def _trim(layout: Layout, arena: Arena, slot: int, group: int, newest_us: int) -> None:
    """Forget the entries that no window of a later row can see."""
    reach_us = layout.groups[group, REACH_US]
    if reach_us < 0:
        return
    place = place_of(layout, arena, slot, group)
    oldest_us = newest_us - layout.groups[group, LATENESS_US] - reach_us
    gone = 0
    while gone < place.n and arena.cells.ints[place.ring + gone * place.stride] < oldest_us:
        gone += 1
    if gone > 0:
        _drop_oldest(layout, arena, (slot, group), place, gone)


@bare
def holds(layout: Layout, arena: Arena, slot: int, group: int, digest: int) -> bool:
    """Say whether an event is among the raw events of a group, by its id digest."""
    if block_of(arena, slot, group) == NO_BLOCK:
        return False
    place = place_of(layout, arena, slot, group)
    found = 0
    for j in range(place.n):
        found += arena.cells.ints[place.ring + j * place.stride + 1] == digest
    return found > 0


@bare
def retract(layout: Layout, arena: Arena, slot: int, group: int, digest: int) -> bool:
    """Take an event out of a group by its id digest; False: it is not among the raw events any more.

    The record is written whole next: what enters in its place may be older than what left the ring for a tile.
    """
    if block_of(arena, slot, group) == NO_BLOCK:
        return False
    place = place_of(layout, arena, slot, group)
    for j in range(place.n - 1, -1, -1):
        if arena.cells.ints[place.ring + j * place.stride + 1] == digest:
            drop(layout, arena.cells, place, j, j + 1)
            set_differs_since(arena, slot, group, ALL_DIFFERS)
            return True
    return False
