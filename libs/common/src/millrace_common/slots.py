"""The online store's layout: what one guarded call covers, the names of its keys, and its cursor record.

All keys of a slot share one hash tag, so that its values and its cursor record change, and are lost, together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from millrace_common.keys import redis_id
from millrace_common.topics import RAW_DATA

META_KEY = "fs:meta"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Slot:
    """One entity type's state in one partition, as far as one topic feeds it.

    `set` (8 hex characters) names the groups computed together: state of another set counts as never written, so that
    a changed definition is computed anew from the log.
    """

    topic: str
    entity_type: str
    partition: int
    set: str
    tag: str = field(init=False)
    cursor_key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", tag(self.entity_type, self.partition))
        object.__setattr__(self, "cursor_key", f"{self.tag}:c:{self.topic}:live")

    def horizon_key(self, entity_id: str) -> str:
        """Return where an entity's id horizon lies: under `i` of its own events, under `o` of others' copies."""
        letter: Literal["i", "o"] = "i" if self.topic == RAW_DATA.name else "o"
        return f"{self.tag}:{letter}:{redis_id(entity_id)}"

    def value_key(self, entity_id: str, group_key: str) -> str:
        """Return where an entity's value of a group lies."""
        return value_key(self.tag, entity_id, group_key)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a slot's state is applied, and the highest origin offset seen of each source partition (R12)."""

    offset: int
    marks: Mapping[int, int]


class CursorRecord(msgspec.Struct, frozen=True):
    """The cursor as it is stored. `token` is unique per writer and call, so that any write by another shows."""

    offset: int
    token: str
    marks: dict[int, int]
    set: str

    def encode(self) -> bytes:
        """Return its JSON bytes."""
        return _ENCODER.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "CursorRecord":
        """Return the record in `data`."""
        return _DECODER.decode(data)


class Meta(msgspec.Struct, frozen=True):
    """What every reader and writer of a store must agree on."""

    format: int
    partitions: int


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CursorRecord)


def tag(entity_type: str, partition: int) -> str:
    """Return what the keys of an entity type in a partition begin with.

    >>> tag("card", 3)
    'fs:{card.3}'
    """
    return f"fs:{{{entity_type}.{partition}}}"


def value_key(slot_tag: str, entity_id: str, group_key: str) -> str:
    """Return the key of a value: `fs:{card.3}:v:4929:CardSpend@0a1b2c3d`."""
    return f"{slot_tag}:v:{redis_id(entity_id)}:{group_key}"


def cursor_record(slot: Slot, cursor: Cursor, token: str) -> bytes:
    """Return the bytes of a slot's cursor record."""
    return CursorRecord(cursor.offset, token, dict(sorted(cursor.marks.items())), slot.set).encode()


def cursor_of(slot: Slot, record: bytes | None) -> Cursor | None:
    """Return the cursor that a stored record holds for this slot; None where there is none of this set of groups."""
    if record is None:
        return None
    stored = CursorRecord.decode(record)
    return Cursor(stored.offset, stored.marks) if stored.set == slot.set else None
