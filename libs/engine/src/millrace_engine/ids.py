"""The id horizon of an entity and event type: which ids were counted, so that a producer's duplicates count once.

An id is remembered for `dedupe_us` behind the newest event of its type, and only among the last 1,024 of that type: the
count bounds the memory of a busy entity (16 KiB), the time that of a quiet one. A duplicate that comes later than
`dedupe_us` is late anyway, as long as lateness is the shorter of the two.

A block holds [newest event time, how many are remembered, how many ever were], then a circle of digests and one of
their event times: the i-th ever lies at i modulo their size, a power of two. What is remembered no more is overwritten,
or too old to count.
"""

from millrace_engine.arena import NO_BLOCK, Arena, block_of, class_of, give_back, take
from millrace_engine.jit import bare, leaf
from millrace_engine.layout import CAPACITY, CELLS, DEDUPE_US, IDS_MAX, NEVER_US, Int64s, Layout
from millrace_engine.sketches import lay

ENTRIES = 3
"""Where the entries of a block begin."""


@leaf
def newest_us(arena: Arena, slot: int, place: int) -> int:
    """Return the newest event time that was counted."""
    at = block_of(arena, slot, place)
    return NEVER_US if at == NO_BLOCK else arena.cells.ints[at]


@leaf
def place_of_id(at: int, ever: int, capacity: int) -> int:
    """Return the cell of the `ever`-th digest of a block; its event time lies `capacity` cells further."""
    return at + ENTRIES + (ever & (capacity - 1))


@leaf
def holds(layout: Layout, arena: Arena, slot: int, kind: int, digest: int) -> bool:
    """Say whether an id was counted and is still remembered."""
    place = len(layout.groups) + kind
    at = block_of(arena, slot, place)
    if at == NO_BLOCK:
        return False
    capacity = layout.blocks[class_of(arena, slot, place), CAPACITY]
    first = at + ENTRIES
    if not _any_is(arena.cells.ints[first : first + capacity], digest):
        return False
    oldest_us = arena.cells.ints[at] - layout.kinds[kind, DEDUPE_US]
    return _is_young(arena.cells.ints, (at, capacity), digest, oldest_us)


@leaf
def _any_is(digests: Int64s, digest: int) -> bool:
    """Say whether a digest is among others: without a way out of the loop, so that it takes several at a time."""
    found = 0
    for i in range(len(digests)):
        found |= digests[i] == digest
    return found != 0


@leaf
def _is_young(ints: Int64s, block: tuple[int, int], digest: int, oldest_us: int) -> bool:
    at, capacity = block
    for ever in range(ints[at + 2] - ints[at + 1], ints[at + 2]):
        place = place_of_id(at, ever, capacity)
        if ints[place] == digest and ints[place + capacity] >= oldest_us:
            return True
    return False


@leaf
def remember(layout: Layout, arena: Arena, slot: int, kind: int, event: tuple[int, int]) -> None:
    """Enter (digest, event time) as the newest of the log, and forget what has left the horizon."""
    place = len(layout.groups) + kind
    if block_of(arena, slot, place) == NO_BLOCK:
        at = _blank(layout, arena, slot, place, layout.first_class[place])
        arena.cells.ints[at] = event[1]
    ints = arena.cells.ints
    at = _roomy(layout, arena, slot, place)
    capacity = layout.blocks[class_of(arena, slot, place), CAPACITY]
    entry = place_of_id(at, ints[at + 2], capacity)
    ints[entry], ints[entry + capacity] = event
    ints[at] = max(ints[at], event[1])
    ints[at + 1] += 1
    ints[at + 2] += 1
    oldest_us = ints[at] - layout.kinds[kind, DEDUPE_US]
    while ints[at + 1] > 0 and ints[place_of_id(at, ints[at + 2] - ints[at + 1], capacity) + capacity] < oldest_us:
        ints[at + 1] -= 1


@bare
def _blank(layout: Layout, arena: Arena, slot: int, place: int, class_: int) -> int:
    """Give a slot a block in which all is 0: bytes that are stored say what is known, and nothing else."""
    at = take(layout, arena, slot, place, class_)
    arena.cells.ints[at : at + layout.blocks[class_, CELLS]] = 0
    return at


@leaf
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
    larger = layout.blocks[class_ + 1, CAPACITY]
    lay(ints[at : at + ENTRIES], ints[to:])
    for ever in range(ints[at + 2] - ints[at + 1], ints[at + 2]):
        old, new = place_of_id(at, ever, capacity), place_of_id(to, ever, larger)
        ints[new], ints[new + larger] = ints[old], ints[old + capacity]
    give_back(arena, at, class_)
    return to
