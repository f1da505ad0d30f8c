"""The header of a value in the online store, and its finalised vector.

Little-endian cells of 8 bytes: header, float32 vector, tiles, entries that left the ring, ring (time, id digest,
columns of each entry). While every event that counts is in the ring there are no tiles, and nothing lies before it.
The header's cells: the word (magic, format, flags, set); the source offset; partition, and above it how many entries
the ring holds; the newest event time that went in; the append time of the record that the value stands at; until when
the vector holds for reads after that event, outside which the features are computed again; before when the past has
been cut, so that the value can no longer say what it was; how many cells lie before the ring. Times in microseconds.

Bytes 4 to 8 say which state it belongs to (`set`), bytes 8 to 16 the source offset it stands at: the store's guarded
write compares these two and nothing else. No time is a clock's, so that the same offset gives the same bytes.
"""

import struct

GROUP_MAGIC = 0xF5
IDS_MAGIC = 0xF6
PATCH_MAGIC = 0xD1
"""Of what is written into a stored record: [word, offset, offset of the record it changes, n of ranges], then of each
range [place << 32 | length, in bytes] and its cells."""
FORMAT = 2
COPIES = 1
"""Flag: computed from copies on `raw-data.by-<entity type>`, not from raw-data."""
FLOAT32_MAX = 3.4028234663852886e38
"""The largest number of a vector; what lies beyond is missing."""

_WORD = struct.Struct("<BBH4s")


class Unreadable(Exception):
    """A value was not written by this version of the format."""


def word(magic: int, flags: int, set_: bytes) -> bytes:
    """Return the first 8 bytes of a record.

    >>> word(GROUP_MAGIC, COPIES, b"abcd")
    b'\\xf5\\x02\\x01\\x00abcd'
    """
    return _WORD.pack(magic, FORMAT, flags, set_)
