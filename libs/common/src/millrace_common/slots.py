"""The online store's layout: what one guarded call covers, the names of its keys, and its cursor record.

All keys of a slot share one hash tag, so that its values and its cursor record change, and are lost, together.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from millrace_common.keys import redis_id
from millrace_common.topics import DAY_MS, RAW_DATA

META_KEY = "fs:meta"
PATCH = 0xD1
"""The first byte of what changes ranges of a value instead of replacing it: after it 3 bytes that say nothing, its set,
its offset, the offset of the value that it changes, how many ranges (8 bytes each); of each range length and place (4
bytes each), then its bytes.
"""
STORE_FORMAT = 1
IDLE_DAYS = 7
KEYS_PER_WRITE = 1_000
"""About how many values a guarded write should carry: they share its cost, and readers wait until it is done."""


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
        object.__setattr__(self, "cursor_key", cursor_key(self.tag, self.topic))

    def horizon_key(self, entity_id: str) -> str:
        """Return where an entity's id horizon lies: under `i` of its own events, under `o` of others' copies."""
        letter: Literal["i", "o"] = "i" if self.topic == RAW_DATA.name else "o"
        return f"{self.tag}:{letter}:{redis_id(entity_id)}"

    def value_key(self, entity_id: str, group_key: str) -> str:
        """Return where an entity's value of a group lies."""
        return value_key(self.tag, entity_id, group_key)


class ValueColumns(Mapping[str, bytes]):
    """Values by key, held as columns; one by one they are made when asked for."""

    __slots__ = ()

    @abstractmethod
    def words(self) -> tuple[memoryview, memoryview]:
        """Return the keys, and the values in their order, as the arguments of a command stand in Redis's protocol."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a slot's state is applied, and the highest origin offset seen of each source partition (R12)."""

    offset: int
    marks: Mapping[int, int]


class CursorRecord(msgspec.Struct, frozen=True):
    """The cursor as it is stored.

    `token` is unique per writer and call, so that any write by another shows. The slot's values can be trusted once
    `offset` has reached `whole`: before that they are rebuilt. `partitions`: of raw-data, so that a reader sees where
    entities lie; 0 where it is not said.
    """

    offset: int
    token: str
    marks: dict[int, int]
    set: str
    whole: int = 0
    partitions: int = 0

    @classmethod
    def of(cls, slot: Slot, cursor: Cursor, token: str, whole: int, partitions: int) -> "CursorRecord":
        """Return the record of a slot's cursor."""
        return cls(cursor.offset, token, dict(sorted(cursor.marks.items())), slot.set, whole, partitions)

    def encode(self) -> bytes:
        """Return its JSON bytes."""
        return _ENCODER.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "CursorRecord":
        """Return the record in `data`."""
        return _DECODER.decode(data)


class Wanted(NamedTuple):
    """A value that is asked for: the topic that feeds its group, whose it is, and of which group."""

    topic: str
    entity_type: str
    entity_id: str
    group_key: str


class Held(msgspec.Struct, frozen=True, gc=False):
    """What the store holds of a value. Not `whole`: its slot is being rebuilt or went back, nothing in it holds."""

    value: bytes | None
    whole: bool


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


def cursor_key(slot_tag: str, topic: str) -> str:
    """Return the key of a cursor record: `fs:{card.3}:c:raw-data:live`."""
    return f"{slot_tag}:c:{topic}:live"


def cursor_of(slot: Slot, record: bytes | None) -> Cursor | None:
    """Return the cursor that a stored record holds for this slot; None: nothing of this set of groups is applied."""
    if record is None:
        return None
    stored = CursorRecord.decode(record)
    return Cursor(stored.offset, stored.marks) if stored.set == slot.set and stored.offset else None


def taken_over(
    slot: Slot, found: bytes | None, committed: int | None, token: str, partitions: int
) -> CursorRecord | None:
    """Return the record to leave when a slot is taken over; None where the one found says all there is to say.

    A cursor that is missing, of another set of groups, or behind the committed offset belongs to a store that was lost,
    went back or is to be filled anew: its values are not whole before everything acknowledged is applied again.
    """
    stored = CursorRecord.decode(found) if found is not None else None
    acknowledged = committed or 0
    if stored is None or stored.set != slot.set:
        return CursorRecord(0, token, {}, slot.set, acknowledged, partitions)
    whole = max(stored.whole, acknowledged) if stored.offset < acknowledged else stored.whole
    if (whole, partitions or stored.partitions) == (stored.whole, stored.partitions):
        return None
    return CursorRecord(stored.offset, token, stored.marks, stored.set, whole, partitions or stored.partitions)


def ttl_ms(reach_us: int | None) -> int | None:
    """Return how long an idle entity's state is kept; None, for ever, where a feature has no bound.

    `reach_us` is the longest window or id horizon with the lateness on top. State as old as that and 7 days more
    matters no more (R14): an event that comes then, and happened in the last 7 days, sees nothing of it in a window,
    is not late for it and repeats no id of it: its row is that of an unseen entity, and so is a read. Only an event
    that is reported more than 7 days after it happened, of an entity that was idle all that time, can tell: it counts
    as the entity's first, where a rebuild from a log that reaches further back may find it late, or find its past.

    >>> ttl_ms(3_600_000_000) == 3_600_000 + 7 * DAY_MS
    True
    """
    return None if reach_us is None else -(-reach_us // 1_000) + IDLE_DAYS * DAY_MS
