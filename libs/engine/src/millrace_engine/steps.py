"""The step of an event: judge it, compute the rows at its time, enter it. A batch is stepped in log order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_engine import ids
from millrace_engine.arena import APPENDED_US, OFFSET, Arena, block_of, is_full, touch
from millrace_engine.jit import bare, leaf
from millrace_engine.layout import (
    COLUMNS,
    END_FEATURE,
    FIRST_COLUMN,
    FIRST_FEATURE,
    JUDGED_LATE,
    KIND,
    TYPE_LATENESS_US,
    Float64s,
    Int64s,
    Layout,
)
from millrace_engine.rings import enter
from millrace_engine.sketches import Cells
from millrace_engine.windows import Asked, group_values

COUNTED, DUPLICATE, LATE, APPLIED = range(4)


class EventColumns(NamedTuple):
    """Events of one entity type and partition, in log order. `kinds`: the place of an event's type in the plan."""

    slots: NDArray[np.int32]
    kinds: NDArray[np.int8]
    times_us: Int64s
    ids: Int64s
    """The digest of each event's id."""
    offsets: Int64s
    appends_us: Int64s
    arguments: Float64s
    """[n, columns of all groups], NaN where missing and where another type feeds the group."""


class Steps(NamedTuple):
    """What came of each event: COUNTED, DUPLICATE, LATE or APPLIED (the state already stands past its offset).

    `values` [n, features of all groups] are the rows of those that counted, NaN where missing.
    """

    verdicts: NDArray[np.int8]
    values: NDArray[np.float32]


@bare
def step_all(layout: Layout, arena: Arena, events: EventColumns, steps: Steps, scratch: Cells, order: Int64s) -> int:
    """Step the events whose places `order` names; return how many were: the arena must be larger for the next."""
    for done in range(len(order)):
        if is_full(layout, arena):
            return done
        i = order[done]
        verdict = _judge(layout, arena, events, i)
        steps.verdicts[i] = verdict
        if verdict == COUNTED:
            _count(layout, arena, events, i, steps.values[i], scratch)
    return len(order)


@bare
def count_again(layout: Layout, arena: Arena, events: EventColumns, steps: Steps, scratch: Cells) -> None:
    """Enter one event without judging it: it was taken out before, and its id is known."""
    _count(layout, arena, events, 0, steps.values[0], scratch)


@leaf
def _judge(layout: Layout, arena: Arena, events: EventColumns, i: int) -> int:
    """Judge an event: duplicates first, then lateness, against the newest event of its type of this entity."""
    slot, kind = events.slots[i], events.kinds[i]
    if events.offsets[i] <= arena.slots[slot, OFFSET]:
        return APPLIED
    if ids.holds(layout, arena, slot, kind, events.ids[i]):
        return DUPLICATE
    newest_us = ids.newest_us(arena, slot, len(layout.groups) + kind)
    late = events.times_us[i] < newest_us - layout.kinds[kind, TYPE_LATENESS_US]
    return LATE if late and layout.kinds[kind, JUDGED_LATE] == 1 else COUNTED


@leaf
def _count(
    layout: Layout, arena: Arena, events: EventColumns, i: int, values: NDArray[np.float32], scratch: Cells
) -> None:
    slot, kind, time_us, digest = events.slots[i], events.kinds[i], events.times_us[i], events.ids[i]
    newest_us = max(time_us, ids.newest_us(arena, slot, len(layout.groups) + kind))
    for group in range(len(layout.groups)):
        own = layout.groups[group, KIND] == kind
        first = layout.groups[group, FIRST_COLUMN]
        current = events.arguments[i, first : first + layout.groups[group, COLUMNS]]
        asked = Asked(group, block_of(arena, slot, group), time_us, own)
        of_group = values[layout.groups[group, FIRST_FEATURE] : layout.groups[group, END_FEATURE]]
        group_values(layout, arena.cells, asked, current, scratch, of_group)
        if own:
            enter(layout, arena, (slot, group), (time_us, digest, newest_us), events.arguments[i])
    ids.remember(layout, arena, slot, kind, (digest, time_us))
    arena.slots[slot, OFFSET] = events.offsets[i]
    arena.slots[slot, APPENDED_US] = events.appends_us[i]
    touch(arena, slot)
