"""The online store in memory: the writer and the reader of backtests and tests, with the same guards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from millrace_common.errors import Fenced, Misconfigured
from millrace_common.keys import partition_of
from millrace_common.slots import FORMAT, META_KEY, Cursor, Meta, Slot, cursor_of, cursor_record, tag, value_key


@dataclass(slots=True)
class MemoryOnline:
    """Writer and reader at once. Two of them that share `held` and differ by `incarnation` are two processes."""

    held: dict[str, bytes] = field(default_factory=dict)
    incarnation: str = "memory"
    _partitions: int = 0
    _calls: int = 0
    _left: dict[Slot, bytes | None] = field(default_factory=dict)

    async def claim(self, partitions: int) -> None:
        """Record how many partitions the store was written for. Raises Misconfigured where it was another number."""
        meta = msgspec.json.encode(Meta(FORMAT, partitions))
        found = self.held.setdefault(META_KEY, meta)
        if found != meta:
            raise Misconfigured(f"the online store was written as {found.decode()}, not {meta.decode()}")
        self._partitions = partitions

    async def take(self, slot: Slot) -> Cursor | None:
        """Take a slot over as it stands; None: nothing is stored of this set of groups."""
        record = self._left[slot] = self.held.get(slot.cursor_key)
        return cursor_of(slot, record)

    async def load(self, slot: Slot, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of `keys`. Raises Fenced where the cursor record is another's."""
        await self.check(slot)
        return [self.held.get(key) for key in keys]

    async def write(self, slot: Slot, values: Mapping[str, bytes], cursor: Cursor) -> None:
        """Store values and the cursor. Raises Fenced where the record is not as this writer left it."""
        await self.check(slot)
        self._calls += 1
        for key, value in values.items():
            old = self.held.get(key)
            if old is None or old[4:8] != value[4:8] or _offset(value) > _offset(old):
                self.held[key] = value
        record = cursor_record(slot, cursor, f"{self.incarnation}.{self._calls}")
        self._left[slot] = self.held[slot.cursor_key] = record

    async def check(self, slot: Slot) -> None:
        """Raise Fenced where the cursor record is not as this writer left it."""
        if slot not in self._left or self.held.get(slot.cursor_key) != self._left[slot]:
            raise Fenced(f"{slot.cursor_key}: another owner wrote it, or the store went back")

    def forget(self, slot: Slot) -> None:
        """Forget a slot that was taken away."""
        self._left.pop(slot, None)

    async def read(self, wanted: Sequence[tuple[str, str, str]]) -> list[bytes | None]:
        """Return the value of each (entity type, entity id, group key), None where there is none."""
        n = self._partitions
        if not n:
            return [None] * len(wanted)
        return [
            self.held.get(value_key(tag(entity_type, partition_of(entity_id, n)), entity_id, group_key))
            for entity_type, entity_id, group_key in wanted
        ]


def _offset(value: bytes) -> int:
    return int.from_bytes(value[8:16], "little", signed=True)
