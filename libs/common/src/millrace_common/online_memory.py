"""The online store in memory: the writer and the reader of backtests and tests, with the same guards."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from millrace_common.errors import Fenced
from millrace_common.keys import partition_of
from millrace_common.online.refusals import refuse_other
from millrace_common.online.standing import Standings
from millrace_common.slots import (
    META_KEY,
    PATCH,
    STORE_FORMAT,
    Cursor,
    CursorRecord,
    Held,
    Meta,
    Slot,
    Wanted,
    cursor_key,
    cursor_of,
    tag,
    taken_over,
    value_key,
)


@dataclass(slots=True)
class MemoryOnline:
    """Writer and reader at once. Two of them that share `held` and differ by `incarnation` are two processes."""

    held: dict[str, bytes] = field(default_factory=dict)
    incarnation: str = "memory"
    _partitions: int = 0
    _calls: int = 0
    _left: dict[Slot, bytes] = field(default_factory=dict)
    _standings: Standings = field(default_factory=Standings)

    async def claim(self, partitions: int) -> None:
        """Record how many partitions the store was written for. Raises Misconfigured where it was another number."""
        meta = msgspec.json.encode(Meta(STORE_FORMAT, partitions))
        found = self.held.setdefault(META_KEY, meta)
        refuse_other(found, Meta(STORE_FORMAT, partitions))
        self._partitions = partitions

    async def take(self, slot: Slot, committed: int | None = None) -> Cursor | None:
        """Take a slot over and return its cursor; None: nothing is applied yet of this set of groups."""
        found = self.held.get(slot.cursor_key)
        record = taken_over(slot, found, committed, self._token(), self._partitions)
        kept = found if record is None else record.encode()
        assert kept is not None
        self._left[slot] = self.held[slot.cursor_key] = kept
        return cursor_of(slot, kept)

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of `keys`. Raises Fenced where the cursor record is another's."""
        await self.check(slot)
        return [self.held.get(key) for key in keys]

    async def write(
        self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor, *, ttl_ms: int | None = None
    ) -> None:
        """Store values and the cursor. Raises Fenced where the record is not as this writer left it.

        Nothing expires here: whoever gives `ttl_ms` vouches that state so old is as good as none.
        """
        await self.check(slot)
        for key, value in values.items():
            old = self.held.get(key)
            if value[0] == PATCH:
                self.held[key] = _patched(slot, key, old or b"", value)
            elif old is None or old[4:8] != value[4:8] or _offset(value) > _offset(old):
                self.held[key] = value
        whole = CursorRecord.decode(self._left[slot]).whole
        record = CursorRecord.of(slot, cursor, self._token(), whole, self._partitions).encode()
        self._left[slot] = self.held[slot.cursor_key] = record

    async def check(self, slot: Slot) -> None:
        """Raise Fenced where the cursor record is not as this writer left it."""
        if slot not in self._left or self.held.get(slot.cursor_key) != self._left[slot]:
            raise Fenced(f"{slot.cursor_key}: another owner wrote it, or the store went back")

    def forget(self, slot: Slot) -> None:
        """Forget a slot that was taken away."""
        self._left.pop(slot, None)

    async def read(self, wanted: Sequence[Wanted]) -> list[Held]:
        """Return each value that is wanted, and whether its slot can be trusted."""
        return [self._read(one) if self._partitions else Held(None, whole=False) for one in wanted]

    def _read(self, wanted: Wanted) -> Held:
        slot_tag = tag(wanted.entity_type, partition_of(wanted.entity_id, self._partitions))
        cursor = cursor_key(slot_tag, wanted.topic)
        value = self.held.get(value_key(slot_tag, wanted.entity_id, wanted.group_key))
        (held,) = self._standings.see(cursor, self.held.get(cursor)).held([value])
        return held

    def _token(self) -> str:
        self._calls += 1
        return f"{self.incarnation}.{self._calls}"


def _offset(value: bytes) -> int:
    return int.from_bytes(value[8:16], "little", signed=True)


def _patched(slot: Slot, key: str, old: bytes, patch: bytes) -> bytes:
    """Return a value with its changes; the same value where it has them. Raises Fenced where it is another one."""
    if old[4:16] == patch[4:16]:
        return old
    if old[4:16] != patch[4:8] + patch[16:24]:
        raise Fenced(f"{key} is not as it was left in {slot.cursor_key}")
    new, at = bytearray(old), 32
    for _ in range(int.from_bytes(patch[24:32], "little")):
        length, place = struct.unpack_from("<II", patch, at)
        new[place : place + length] = patch[at + 8 : at + 8 + length]
        at += 8 + length
    return bytes(new)
