"""The id horizon of an entity and event type: which ids were counted, so that a producer's duplicates count once.

An id is remembered for `dedupe_us` behind the newest event of its type, and only among the last 1,024 of that type: the
count bounds the memory of a busy entity (16 KiB), the time that of a quiet one. A duplicate that comes later than
`dedupe_us` is late anyway, as long as lateness is the shorter of the two.

A block holds [newest event time, how many are remembered, how many ever were] and then (digest, event time) around a
circle: the i-th ever lies at i modulo its size.
"""

from millrace_engine.arena import NO_BLOCK, Arena, block_of, class_of, give_back, take
from millrace_engine.jit import kernel, leaf
from millrace_engine.layout import CAPACITY, CELLS, DEDUPE_US, IDS_MAX, NEVER_US, Layout

ENTRIES = 3
"""Where the entries of a block begin."""


@leaf
def newest_us(arena: Arena, slot: int, place: int) -> int:
    """Return the newest event time that was counted."""
    at = block_of(arena, slot, place)
    return NEVER_US if at == NO_BLOCK else arena.cells.ints[at]


@leaf
def entry_of(at: int, ever: int, capacity: int) -> int:
    """Return the cell at which the id lies that is the `ever`-th of its block."""
    return at + ENTRIES + 2 * (ever % capacity)


@leaf
def holds(layout: Layout, arena: Arena, slot: int, kind: int, digest: int) -> bool:
    """Say whether an id was counted and is still remembered."""
    place = len(layout.groups) + kind
    at = block_of(arena, slot, place)
    if at == NO_BLOCK:
        return False
    ints = arena.cells.ints
    capacity = layout.blocks[class_of(arena, slot, place), CAPACITY]
    oldest_us = ints[at] - layout.kinds[kind, DEDUPE_US]
    for ever in range(ints[at + 2] - 1, ints[at + 2] - ints[at + 1] - 1, -1):
        entry = entry_of(at, ever, capacity)
        if ints[entry] == digest and ints[entry + 1] >= oldest_us:
            return True
    return False


@kernel
def remember(layout: Layout, arena: Arena, slot: int, kind: int, event: tuple[int, int]) -> None:
    """Enter (digest, event time) as the newest of the log, and forget what has left the horizon."""
    place = len(layout.groups) + kind
    if block_of(arena, slot, place) == NO_BLOCK:
        at = _blank(layout, arena, slot, place, layout.first_class[place])
        arena.cells.ints[at] = event[1]
    ints = arena.cells.ints
    at = _roomy(layout, arena, slot, place)
    capacity = layout.blocks[class_of(arena, slot, place), CAPACITY]
    entry = entry_of(at, ints[at + 2], capacity)
    ints[entry], ints[entry + 1] = event
    ints[at] = max(ints[at], event[1])
    ints[at + 1] += 1
    ints[at + 2] += 1
    oldest_us = ints[at] - layout.kinds[kind, DEDUPE_US]
    while ints[at + 1] > 0 and ints[entry_of(at, ints[at + 2] - ints[at + 1], capacity) + 1] < oldest_us:
        ints[at + 1] -= 1


@kernel
def _blank(layout: Layout, arena: Arena, slot: int, place: int, class_: int) -> int:
    """Give a slot a block in which all is 0: bytes that are stored say what is known, and nothing else."""
    at = take(layout, arena, slot, place, class_)
    arena.cells.ints[at : at + layout.blocks[class_, CELLS]] = 0
    return at


@kernel
def _roomy(layout: Layout, arena: Arena, slot: int, place: int) -> int:
    """Return a block that takes another entry: this one, a larger one, or this one without its oldest."""
    at, class_ = block_of(arena, slot, place), class_of(arena, slot, place)
    ints, capacity = arena.cells.ints, layout.blocks[class_, CAPACITY]
    if ints[at + 1] < capacity:
        return at
    if capacity == IDS_MAX:
        ints[at + 1] -= 1
        return at
    to = _blank(layout, arena, slot, place, class_ + 1)
    ints[to : to + ENTRIES] = ints[at : at + ENTRIES]
    for ever in range(ints[at + 2] - ints[at + 1], ints[at + 2]):
        old, new = entry_of(at, ever, capacity), entry_of(to, ever, layout.blocks[class_ + 1, CAPACITY])
        ints[new], ints[new + 1] = ints[old], ints[old + 1]
    give_back(arena, at, class_)
    return to
