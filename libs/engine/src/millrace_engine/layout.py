"""Where all of an entity lies: the tables that the kernels walk, made of a plan's groups and events.

A record is a block of 8-byte cells in one arena, laid out as the store keeps it (values.py): header, vector, tiles, and
ring.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace.spec import EventSpec, GroupSpec
from millrace_engine.customs import Custom
from millrace_engine.partials import CODES, FEATURE_COLUMNS, Table, cells_needed

RING = 64
"""Events that a group holds as they came, the newest ones."""
TILES_PER_WINDOW = 12
HEADER_CELLS = 8
IDS_MAX = 1_024
NEVER_US = -(1 << 62)
ALWAYS_US = 1 << 62
HOT_ENTRIES = 2 * RING + 1
"""Entries that a block with tiles has room for. Its ring moves on through it, so that a patch of what is stored holds
the new entries alone, and back when it comes to the end; those that left lie before it until then."""
RING_CAPACITIES = (4, 16, RING + 1)
IDS_CAPACITIES = (4, 8, 16, 32, 64, 128, 256, 512, IDS_MAX)
HOT = len(RING_CAPACITIES)
"""The class of a group's block that has tiles, after those of its rings."""

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]
WIDTH_US, TILE_US, TILES, TILE_CELLS, FIRST_CELL = range(5)
"""Of a time window: its tiles lie at FIRST_CELL of the group's tile cells."""
(
    KIND,
    FIRST_FEATURE,
    END_FEATURE,
    FIRST_WINDOW,
    END_WINDOW,
    FIRST_COLUMN,
    COLUMNS,
    LATENESS_US,
    REACH_US,
    VECTOR_CELLS,
    ALL_TILE_CELLS,
    WORD,
) = range(12)
"""Of a group: its event type, its features, windows and columns in the tables of all; how long before the newest event,
less lateness, its ring reaches (-1: it is never cut by time); the first cell of its records."""
TYPE_LATENESS_US, DEDUPE_US, JUDGED_LATE = range(3)
"""Of an event type."""
CELLS, CAPACITY = range(2)
"""Of a class of blocks: how large one is, how many entries it takes."""


class Layout(NamedTuple):
    """The tables, few and flat. `first_class`: a row for each group, then for each event type.

    `growth`: the most cells that one event can ask for.
    """

    features: Table
    windows: Table
    groups: Table
    kinds: Table
    blocks: Table
    first_class: Int64s
    partition: int
    growth: int


@dataclass(frozen=True, slots=True)
class GroupColumns:
    """A group's features by the columns of its events: argument column, where column and team's own verbs of each."""

    spec: GroupSpec
    word: bytes
    width: int
    arguments: tuple[int, ...]
    wheres: tuple[int, ...]
    customs: tuple[Custom | None, ...]


def layout_of(
    groups: Sequence[GroupColumns], events: Sequence[EventSpec], *, copies: bool, partition: int = 0
) -> Layout:
    """Return the tables of a plan. `copies`: every event may be late, also one that refers to another."""
    places = {event.type: kind for kind, event in enumerate(events)}
    windows = [_windows(group, events[places[group.spec.event]]) for group in groups]
    offsets = _running(len(of_group) for of_group in windows)
    features = [
        _feature(group, place, windows[g], offsets[g])
        for g, group in enumerate(groups)
        for place in range(len(group.spec.features))
    ]
    tables = _table(_groups(groups, events, places, windows), WORD + 1)
    blocks, first_class = _blocks(tables, len(events))
    return Layout(
        _table(features, FEATURE_COLUMNS),
        _table([window.row for of_group in windows for window in of_group], FIRST_CELL + 1),
        tables,
        _table([_kind(event, copies) for event in events], JUDGED_LATE + 1),
        blocks,
        first_class,
        partition,
        _growth(blocks, first_class),
    )


@dataclass(slots=True)
class _Window:
    """A window while its tiles are laid out."""

    width_us: int
    row: tuple[int, ...]
    cells: dict[int, int]
    """Where the partial of a feature (its place in the group) begins in a tile."""


def tile_us_of(window_us: int) -> int:
    """Return how long a window's tiles are."""
    return max(1, window_us // TILES_PER_WINDOW)


def _windows(group: GroupColumns, event: EventSpec) -> list[_Window]:
    made: list[_Window] = []
    first_cell = 0
    widths = dict.fromkeys(f.window_us for f in group.spec.features if f.window_us is not None)
    for width in widths:
        cells, end = {}, 1
        for place, feature in enumerate(group.spec.features):
            custom = group.customs[place]
            need = cells_needed(CODES[feature.op]) if custom is None else custom.cells
            if feature.window_us == width and need:
                cells[place], end = end, end + need
        tile = tile_us_of(width)
        tiles = (width + event.lateness_us) // tile + 2 if cells else 0
        made.append(_Window(width, (width, tile, tiles, end, first_cell), cells))
        first_cell += tiles * end
    return made


def _feature(group: GroupColumns, place: int, windows: list[_Window], offset: int) -> tuple[int, ...]:
    spec, custom = group.spec.features[place], group.customs[place]
    window = next((w for w, window in enumerate(windows) if window.width_us == spec.window_us), None)
    return (
        CODES[spec.op],
        -1 if window is None else offset + window,
        -1 if spec.events is None else spec.events,
        group.arguments[place],
        group.wheres[place],
        spec.n,
        round((spec.q or 0.0) * 1_000_000),
        spec.half_life_us or 1,
        int(spec.include_current),
        -1 if window is None else windows[window].cells.get(place, -1),
        *((0, 0, 0, 0) if custom is None else (custom.prepare, custom.update, custom.merge, custom.finalize)),
    )


def _groups(
    groups: Sequence[GroupColumns],
    events: Sequence[EventSpec],
    places: dict[str, int],
    windows: Sequence[list[_Window]],
) -> list[tuple[int, ...]]:
    first_feature = _running(len(group.spec.features) for group in groups)
    first_window = _running(len(of_group) for of_group in windows)
    first_column = _running(group.width for group in groups)
    return [
        (
            places[group.spec.event],
            first_feature[g],
            first_feature[g + 1],
            first_window[g],
            first_window[g + 1],
            first_column[g],
            group.width,
            events[places[group.spec.event]].lateness_us,
            _reach_us(group.spec),
            (len(group.spec.features) + 1) // 2,
            sum(window.row[2] * window.row[3] for window in windows[g]),
            int.from_bytes(group.word, "little", signed=True),
        )
        for g, group in enumerate(groups)
    ]


def _reach_us(group: GroupSpec) -> int:
    if any(feature.window_us is None for feature in group.features):
        return -1
    return max((feature.window_us or 0 for feature in group.features), default=0)


def _kind(event: EventSpec, copies: bool) -> tuple[int, ...]:
    return event.lateness_us, event.dedupe_us, int(copies or not event.refers_to)


def _blocks(groups: Table, kinds: int) -> tuple[Table, Int64s]:
    """Return the classes of blocks, and the first one of each group and event type."""
    rows: list[tuple[int, int]] = []
    first = []
    for group in groups.tolist():
        first.append(len(rows))
        base, entry = HEADER_CELLS + group[VECTOR_CELLS], 2 + group[COLUMNS]
        rows += [(base + capacity * entry, capacity) for capacity in RING_CAPACITIES]
        rows.append((base + group[ALL_TILE_CELLS] + HOT_ENTRIES * entry, RING_CAPACITIES[-1]))
    for _ in range(kinds):
        first.append(len(rows))
        rows += [(3 + 2 * capacity, capacity) for capacity in IDS_CAPACITIES]
    return _table(rows, CAPACITY + 1), np.array(first, dtype=np.int64)


def _growth(blocks: Table, first_class: Int64s) -> int:
    """Return the cells of one block of each largest class."""
    lasts = [*(first_class[1:] - 1), len(blocks) - 1]
    return int(sum(blocks[last, CELLS] for last in lasts))


def _running(lengths: Iterable[int]) -> list[int]:
    return list(accumulate(lengths, initial=0))


def _table(rows: Sequence[Sequence[int]], width: int) -> Table:
    return np.array(rows, dtype=np.int64).reshape(-1, width)
