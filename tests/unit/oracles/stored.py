"""What the bytes of a stored value say, read by the layout as it is written down.

Eight cells of 8 bytes (magic, format, flags and set; source offset; partition and entries of the ring; event time;
write time; fresh until; exact from; cells of tiles), the float32 vector padded to a cell, the tiles, and the ring: of
each entry its time, the digest of its id and its columns.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

from millrace_common.ids import row_id

_HEADER = struct.Struct("<BBH4sqIIqqqqq")
CELL = 8


class Stored(NamedTuple):
    """One stored value of a group. Times in microseconds."""

    flags: int
    set: bytes
    offset: int
    partition: int
    event_time_us: int
    write_time_us: int
    fresh_until_us: int
    exact_from_us: int
    before_cells: int
    """What lies before the ring: tiles, then entries that left it."""
    vector: tuple[float, ...]
    ring: list[tuple[int, int]]
    """Times and digests of ids."""


def opened(value: bytes, *, features: int) -> Stored:
    """Read a value whose vector has this many features."""
    _, _, flags, set_, offset, partition, entries, event, write, fresh, exact, tiles = _HEADER.unpack_from(value)
    vector = struct.unpack_from(f"<{features}f", value, _HEADER.size)
    begin = _HEADER.size + -(-4 * features // CELL) * CELL + tiles * CELL
    rest = len(value) - begin
    each = rest // entries if entries else 0
    assert each * entries == rest, "the ring is cut short"
    assert each % CELL == 0
    ring = [struct.unpack_from("<qq", value, begin + i * each) for i in range(entries)]
    return Stored(flags, set_, offset, partition, event, write, fresh, exact, tiles, vector, ring)


def digest(event_id: str) -> int:
    """Return the 64 bits by which an id is known in a ring."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little", signed=True)


class Remembered(NamedTuple):
    """What an id horizon says of one event type: its newest event time, and digests of ids with their event times."""

    newest_us: int
    ids: list[tuple[int, int]]


class Horizon(NamedTuple):
    """An entity's id horizon. `types` in the order of its plan's events."""

    set: bytes
    offset: int
    append_time_us: int
    types: list[Remembered]


def opened_horizon(value: bytes, *, types: int) -> Horizon:
    """Read a horizon: three cells as in a value; of each type newest, n, ever, size, circles of digests and times."""
    cells = struct.unpack(f"<{len(value) // CELL}q", value)
    at, found = 3, []
    for _ in range(types):
        newest, n, ever, size = cells[at : at + 4]
        places = [at + 4 + i % size for i in range(ever - n, ever)]
        found.append(Remembered(newest, [(cells[place], cells[place + size]) for place in places]))
        at += 4 + 2 * size
    assert at == len(cells), "the horizon is cut short"
    return Horizon(value[4:8], cells[1], cells[2], found)


def known_as(entity_type: str, event_type: str, event_id: str, group_keys: Sequence[str]) -> int:
    """Return the 64 bits by which features knows an event: the first of its row's id."""
    known = bytes.fromhex(row_id(entity_type, event_type, event_id, group_keys))
    return int.from_bytes(known[:8], "little", signed=True)
