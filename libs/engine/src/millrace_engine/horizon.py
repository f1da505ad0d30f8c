"""The id horizon of one entity: which events it has counted, so that a producer's duplicates count once.

An id is remembered for `dedupe_us` behind the entity's newest event of its type, and only among the last 1,024 of that
type: the count bounds the memory of a busy entity (16 KiB), the time that of a quiet one. A duplicate that comes later
than `dedupe_us` is late anyway, as long as lateness is the shorter of the two. Ids are kept as 64 bits of BLAKE2b.

Bytes 4 to 8 and 8 to 16 stand for the set and the source offset, as in every value of the store.
"""

import hashlib
import struct
from dataclasses import dataclass, field

from millrace_engine.rings import NEVER_US
from millrace_engine.values import FORMAT, Unreadable

IDS_MAX = 1_024
_MAGIC = 0xF6
_HEADER = struct.Struct("<BBH4sqq")
_TYPE = struct.Struct("<qI")


def digest(event_id: str) -> bytes:
    """Return the 8 bytes by which an id is remembered."""
    return hashlib.blake2b(event_id.encode(), digest_size=8).digest()


@dataclass(slots=True)
class Seen:
    """What was counted of one event type: the newest event time, and ids with their event times in log order."""

    newest_us: int = NEVER_US
    ids: dict[bytes, int] = field(default_factory=dict)

    def holds(self, id_digest: bytes, dedupe_us: int) -> bool:
        """Say whether this id was counted and is still remembered."""
        time_us = self.ids.get(id_digest)
        return time_us is not None and time_us >= self.newest_us - dedupe_us

    def add(self, id_digest: bytes, time_us: int, dedupe_us: int) -> None:
        """Remember a counted event, and forget what has left the horizon."""
        self.newest_us = max(self.newest_us, time_us)
        ids = self.ids
        ids.pop(id_digest, None)
        ids[id_digest] = time_us
        oldest = self.newest_us - dedupe_us
        while len(ids) > IDS_MAX or ids[next(iter(ids))] < oldest:
            del ids[next(iter(ids))]
            if not ids:
                return


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which set of groups a stored state belongs to, the source offset it stands at, and when that was appended."""

    set: bytes
    offset: int
    append_time_us: int


def pack(stamp: Stamp, seen: list[Seen]) -> bytes:
    """Return the bytes to store."""
    parts = [_HEADER.pack(_MAGIC, FORMAT, len(seen), stamp.set, stamp.offset, stamp.append_time_us)]
    for one in seen:
        n = len(one.ids)
        parts += (_TYPE.pack(one.newest_us, n), *one.ids, struct.pack(f"<{n}q", *one.ids.values()))
    return b"".join(parts)


def unpack(data: bytes) -> tuple[Stamp, list[Seen]]:
    """Return what `pack` was given. Raises Unreadable."""
    if len(data) < _HEADER.size or data[0] != _MAGIC or data[1] != FORMAT:
        raise Unreadable(f"not an id horizon of format {FORMAT}")
    _, _, types, set_, offset, append_us = _HEADER.unpack_from(data)
    seen, at = [], _HEADER.size
    for _ in range(types):
        newest_us, n = _TYPE.unpack_from(data, at)
        at += _TYPE.size
        ids = [data[i : i + 8] for i in range(at, at + 8 * n, 8)]
        times = struct.unpack_from(f"<{n}q", data, at + 8 * n)
        at += 16 * n
        seen.append(Seen(newest_us, dict(zip(ids, times, strict=True))))
    return Stamp(set_, offset, append_us), seen
