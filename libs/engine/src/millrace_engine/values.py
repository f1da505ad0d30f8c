"""The header of a value in the online store, and its finalised vector.

Little-endian cells of 8 bytes: header, float32 vector, tiles, entries that left the ring, ring (time, id digest,
columns of each entry). While every event that counts is in the ring there are no tiles, and nothing lies before it.
Bytes 4 to 8 say which state it belongs to (`set`), bytes 8 to 16 the source offset it stands at: the store's guarded
write compares these two and nothing else. `write_time` is the append time of the record that the value stands at, not a
clock's, so that the same offset gives the same bytes.
"""

import struct
from typing import NamedTuple

GROUP_MAGIC = 0xF5
IDS_MAGIC = 0xF6
PATCH_MAGIC = 0xD1
"""Of what is written into a stored record: [word, offset, offset of the record it changes, n of ranges], then of each
range [place << 32 | length, in bytes] and its cells."""
FORMAT = 2
COPIES = 1
"""Flag: computed from copies on `raw-data.by-<entity type>`, not from raw-data."""

_WORD = struct.Struct("<BBH4s")
_HEADER = struct.Struct("<BBH4sqIIqqqqq")
HEADER_BYTES = _HEADER.size


class Unreadable(Exception):
    """A value was not written by this version of the format."""


class Header(NamedTuple):
    """What a group's value says about itself. Times in microseconds."""

    flags: int
    set: bytes
    offset: int
    partition: int
    events: int
    """Events held as they came."""
    event_time_us: int
    """The newest event time that went in."""
    write_time_us: int
    fresh_until_us: int
    """The vector holds for reads in (event_time_us, fresh_until_us]; outside, the features are computed again."""
    exact_from_us: int
    """Before this the past has been cut: the value can no longer say what it was."""
    tile_cells: int
    """What lies before the ring: tiles, then entries that left it. 0: every event that counts is held as it came."""


def word(magic: int, flags: int, set_: bytes) -> bytes:
    """Return the first 8 bytes of a record.

    >>> word(GROUP_MAGIC, COPIES, b"abcd")
    b'\\xf5\\x02\\x01\\x00abcd'
    """
    return _WORD.pack(magic, FORMAT, flags, set_)


def header_of(data: bytes) -> Header:
    """Return the header of a group's value. Raises Unreadable."""
    if len(data) < HEADER_BYTES or len(data) % 8 or data[0] != GROUP_MAGIC or data[1] != FORMAT:
        raise Unreadable(f"not a feature value of format {FORMAT}")
    return Header(*_HEADER.unpack_from(data)[2:])
