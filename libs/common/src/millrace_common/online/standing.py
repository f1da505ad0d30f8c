"""What a reader makes of cursor records: whether the values of a slot can be trusted, and of which set they are."""

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
class _Seen:
    """The record of one slot as last read, and the highest offset that it had."""

    data: bytes = b""
    record: _Record | None = None
    top: int = 0
    is_whole: bool = False


_DECODER = msgspec.json.Decoder(_Record)


@dataclass(slots=True)
class Standings:
    """The slots that a reader has seen.

    A slot can be trusted when its record says that what was once acknowledged is applied again, and it does not stand
    behind where this reader saw it before: then the store went back, and its writer has not noticed yet. A record that
    then moves on has a writer again, and is believed.
    """

    _slots: dict[str, _Seen] = field(default_factory=dict)

    def see(self, cursor_key: str, data: bytes | None) -> None:
        """Take note of a slot's cursor record as it was read."""
        seen = self._slots.get(cursor_key)
        if seen is None:
            seen = self._slots[cursor_key] = _Seen()
        if data is None:
            seen.data, seen.record, seen.is_whole = b"", None, False
        elif data != seen.data:
            self._changed(seen, data)

    def partitions(self, cursor_key: str) -> int:
        """Return for how many partitions the slot was written, 0 where it is not said."""
        record = self._slots[cursor_key].record
        return 0 if record is None else record.partitions

    def held(self, cursor_key: str, value: bytes | None) -> Held:
        """Return a value of the slot with whether it can be trusted.

        What another set of groups left in a slot that is whole counts as never written, as it does for its writer.
        """
        seen = self._slots[cursor_key]
        if seen.is_whole and value is not None and seen.record is not None and value[4:8].hex() != seen.record.set:
            value = None
        return Held(value, seen.is_whole)

    @staticmethod
    def _changed(seen: _Seen, data: bytes) -> None:
        before, record = seen.record, _DECODER.decode(data)
        if before is not None and before.offset <= record.offset and before.offset < seen.top:
            seen.top = record.offset  # it had gone back, and moves on
        seen.data, seen.record, seen.top = data, record, max(seen.top, record.offset)
        seen.is_whole = record.offset >= max(record.whole, seen.top)
