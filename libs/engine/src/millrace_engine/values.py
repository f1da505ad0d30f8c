"""The bytes of a value in the online store: header, finalised float32 vector, raw ring.

Little-endian. Bytes 4 to 8 say which state it belongs to (`set`), bytes 8 to 16 the source offset it stands at: the
store's guarded write compares these two and nothing else. `write_time` is the append time of the record that the value
stands at, not a clock's, so that the same offset gives the same bytes.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from millrace_engine.rings import Ring

GROUP_MAGIC = 0xF5
FORMAT = 1
COPIES = 1
"""Flag: computed from copies on `raw-data.by-<entity type>`, not from raw-data."""

_HEADER = struct.Struct("<BBH4sqIIqqqq")
_FLOAT32_MAX = 3.4028234663852886e38


class Unreadable(Exception):
    """A value was not written by this version of the format."""


class Header(NamedTuple):
    """What a group's value says about itself. Times in microseconds."""

    flags: int
    set: bytes
    offset: int
    partition: int
    event_time_us: int
    """The newest event time that went in."""
    write_time_us: int
    fresh_until_us: int
    """The vector holds for reads in (event_time_us, fresh_until_us]; outside, the ring is aggregated again."""
    exact_from_us: int
    """Before this the ring has been cut: it can no longer say what the value was."""


class Opened(NamedTuple):
    """A group's value, opened as far as the vector; `body` holds the ring."""

    header: Header
    vector: tuple[float, ...]
    events: int
    body: memoryview


def float32(values: Sequence[float]) -> tuple[bytes, tuple[float, ...]]:
    """Return values as float32: their bytes, and as numbers again. What float32 cannot hold becomes missing (NaN).

    >>> float32([0.5, 1e300])[1]
    (0.5, nan)
    """
    layout = f"<{len(values)}f"
    data = struct.pack(layout, *[v if -_FLOAT32_MAX <= v <= _FLOAT32_MAX else float("nan") for v in values])
    return data, struct.unpack(layout, data)


def pack(header: Header, vector: bytes, ring: Ring) -> bytes:
    """Return the bytes of a group's value."""
    n = len(ring.times)
    head = _HEADER.pack(
        GROUP_MAGIC,
        FORMAT,
        header.flags,
        header.set,
        header.offset,
        header.partition,
        n,
        header.event_time_us,
        header.write_time_us,
        header.fresh_until_us,
        header.exact_from_us,
    )
    columns = (struct.pack(f"<{n}d", *column) for column in ring.columns)
    return b"".join((head, vector, struct.pack(f"<{n}q", *ring.times), *columns))


def open_value(data: bytes, *, features: int) -> Opened:
    """Read the header and the vector of `features` numbers. Raises Unreadable."""
    if len(data) < _HEADER.size + 4 * features or data[0] != GROUP_MAGIC or data[1] != FORMAT:
        raise Unreadable(f"not a feature value of format {FORMAT}")
    _, _, flags, set_, offset, partition, events, event_us, write_us, fresh_us, exact_us = _HEADER.unpack_from(data)
    vector = struct.unpack_from(f"<{features}f", data, _HEADER.size)
    header = Header(flags, set_, offset, partition, event_us, write_us, fresh_us, exact_us)
    return Opened(header, vector, events, memoryview(data)[_HEADER.size + 4 * features :])


def open_ring(opened: Opened, *, width: int) -> Ring:
    """Read the ring of `width` columns. Raises Unreadable."""
    n, body = opened.events, opened.body
    if len(body) != 8 * n * (1 + width):
        raise Unreadable("a feature value's ring is cut short")
    times = list(struct.unpack_from(f"<{n}q", body))
    columns = [list(struct.unpack_from(f"<{n}d", body, 8 * n * (j + 1))) for j in range(width)]
    return Ring(columns, times)
