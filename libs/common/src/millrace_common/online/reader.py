"""The reader of serving and of the command line: the values of a view in one round trip, and whether they hold."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import NamedTuple

import msgspec

from millrace_common.errors import Unavailable
from millrace_common.keys import partition_of
from millrace_common.online import refusals
from millrace_common.online.awake import Awake
from millrace_common.online.line import Lost, Target
from millrace_common.online.nodes import Call, Nodes
from millrace_common.online.resp import Reply, ReplyError, command, text_command
from millrace_common.online.standing import Standings
from millrace_common.slots import META_KEY, STORE_FORMAT, Held, Meta, Wanted, cursor_key, tag, value_key

NOTHING = Held(None, whole=False)
_GET_META = Call(META_KEY, command(b"GET", META_KEY.encode()))


class _Asked(NamedTuple):
    """What is asked of one slot: its cursor record and values, in one MGET. `places`: where the values go."""

    tag: str
    keys: list[str]
    places: list[int]

    def call(self) -> Call:
        """Return what to send."""
        return Call(self.tag, text_command("MGET", *self.keys))


class OnlineReader:
    """Reads values: one MGET per slot, in which the slot's cursor record stands too, all in one flush."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._partitions = 0
        self._standings = Standings()
        self._awake = Awake()

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, call_seconds_max: float = 1.0) -> AsyncIterator["OnlineReader"]:
        """Name the store; nothing is asked of it yet."""
        nodes = Nodes(Target.of(url), seconds_max=call_seconds_max)
        try:
            yield cls(nodes)
        finally:
            await nodes.close()

    async def read(self, wanted: Sequence[Wanted]) -> list[Held]:
        """Return each value that is wanted, and whether its slot can be trusted.

        Raises Unavailable where the store does not answer.
        """
        if not wanted:
            return []
        try:
            found = await self._read(wanted)
            return found if found is not None else await self._read(wanted) or [NOTHING] * len(wanted)
        except (Lost, ReplyError) as error:
            raise Unavailable(refusals.told(error)) from error

    async def _read(self, wanted: Sequence[Wanted]) -> list[Held] | None:
        """Return None where the store turns out to be written for another number of partitions than was known."""
        partitions = self._partitions or await self._known_partitions()
        if not partitions:
            return [NOTHING] * len(wanted)
        slots = _by_slot(wanted, partitions)
        replies = await self._awake.until(self._nodes.ask([asked.call() for asked in slots]))
        held = [NOTHING] * len(wanted)
        for asked, reply in zip(slots, replies, strict=True):
            values = _values(reply)
            seen = self._standings.see(asked.keys[0], values.pop(0))
            if seen.partitions not in (0, self._partitions):
                self._partitions = 0
                return None
            for place, one in zip(asked.places, seen.held(values), strict=True):
                held[place] = one
        return held

    async def _known_partitions(self) -> int:
        (found,) = await self._nodes.ask([_GET_META])
        if isinstance(found, ReplyError):
            raise found
        if isinstance(found, bytes):
            meta = msgspec.json.decode(found, type=Meta)
            refusals.refuse_other(found, Meta(STORE_FORMAT, meta.partitions))
            self._partitions = meta.partitions
        return self._partitions


def _by_slot(wanted: Sequence[Wanted], partitions: int) -> list[_Asked]:
    """Return what is asked of each slot; an entity's values mostly stand side by side, and lie in one slot."""
    slots: dict[tuple[str, str], _Asked] = {}
    before, prefix = None, ""
    for place, (topic, entity_type, entity_id, group_key) in enumerate(wanted):
        if (topic, entity_type, entity_id) != before:
            before = topic, entity_type, entity_id
            name = _slot_names(topic, entity_type, partition_of(entity_id, partitions))
            asked = slots.get(name) or slots.setdefault(name, _Asked(name[0], [name[1]], []))
            prefix = value_key(asked.tag, entity_id, "")
        asked.keys.append(prefix + group_key)
        asked.places.append(place)
    return [*slots.values()]


@lru_cache(maxsize=65_536)
def _slot_names(topic: str, entity_type: str, partition: int) -> tuple[str, str]:
    """Return the tag of a slot and the key of its cursor record."""
    slot_tag = tag(entity_type, partition)
    return slot_tag, cursor_key(slot_tag, topic)


def _values(reply: Reply) -> list[bytes | None]:
    if isinstance(reply, ReplyError):
        raise reply
    assert isinstance(reply, list)
    return [value if isinstance(value, bytes) else None for value in reply]
