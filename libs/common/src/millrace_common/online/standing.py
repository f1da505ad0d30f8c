"""What a reader makes of cursor records: whether the values of a slot can be trusted, and of which set they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from millrace_common.slots import Held


class _Record(msgspec.Struct, frozen=True):
    """As much of a cursor record as a reader needs."""

    offset: int
    set: str
    whole: int = 0
    partitions: int = 0


@dataclass(slots=True)
class Seen:
    """The record of one slot as last read, and the highest offset that it had."""

    data: bytes | None = None
    record: _Record | None = None
    top: int = 0
    is_whole: bool = False

    @property
    def partitions(self) -> int:
        """Return for how many partitions the slot was written, 0 where it is not said."""
        return 0 if self.record is None else self.record.partitions

    def held(self, values: Sequence[bytes | None]) -> list[Held]:
        """Return values of the slot, each with whether it can be trusted.

        What another set of groups left in a slot that is whole counts as never written, as it does for its writer.
        """
        if not self.is_whole or self.record is None:
            return [Held(value, whole=False) for value in values]
        own = bytes.fromhex(self.record.set)
        return [Held(value if value is None or value[4:8] == own else None, whole=True) for value in values]

    def see(self, data: bytes | None) -> None:
        """Take note of the slot's record as it was read."""
        before, record = self.record, None if data is None else _DECODER.decode(data)
        self.data, self.record, self.is_whole = data, record, False
        if record is not None:
            if before is not None and before.offset <= record.offset and before.offset < self.top:
                self.top = record.offset  # it had gone back, and moves on
            self.top = max(self.top, record.offset)
            self.is_whole = record.offset >= max(record.whole, self.top)


_DECODER = msgspec.json.Decoder(_Record)


@dataclass(slots=True)
class Standings:
    """The slots that a reader has seen.

    A slot can be trusted when its record says that what was once acknowledged is applied again, and it does not stand
    behind where this reader saw it before: then the store went back, and its writer has not noticed yet. A record that
    then moves on has a writer again, and is believed.
    """

    _slots: dict[str, Seen] = field(default_factory=dict)

    def see(self, cursor_key: str, data: bytes | None) -> Seen:
        """Take note of a slot's cursor record as it was read; return how the slot stands."""
        seen = self._slots.get(cursor_key)
        if seen is None:
            seen = self._slots[cursor_key] = Seen()
        if data != seen.data:
            seen.see(data)
        return seen
