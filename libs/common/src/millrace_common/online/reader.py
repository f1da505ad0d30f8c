"""The reader of serving and of the command line: the values of a view in one round trip, and whether they hold."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from millrace_common.errors import Unavailable
from millrace_common.keys import partition_of
from millrace_common.online import refusals
from millrace_common.online.line import Lost, Target
from millrace_common.online.nodes import Call, Nodes
from millrace_common.online.resp import Reply, ReplyError, bulks, command
from millrace_common.online.standing import Standings
from millrace_common.slots import FORMAT, META_KEY, Held, Meta, Wanted, cursor_key, tag, value_key

NOTHING = Held(None, whole=False)
_GET_META = Call(META_KEY, command(b"GET", META_KEY.encode()))


class _Asked:
    """What is asked of one slot: cursor records and values, in one MGET."""

    __slots__ = ("cursors", "keys", "places", "tag")

    def __init__(self, slot_tag: str) -> None:
        self.tag = slot_tag
        self.cursors: dict[str, str] = {}
        self.keys: list[str] = []
        self.places: list[tuple[int, str]] = []

    def add(self, place: int, one: Wanted) -> None:
        """Ask for one more value, which goes to `place`."""
        cursor = self.cursors.get(one.topic)
        if cursor is None:
            cursor = self.cursors[one.topic] = cursor_key(self.tag, one.topic)
        self.keys.append(value_key(self.tag, one.entity_id, one.group_key))
        self.places.append((place, cursor))

    def call(self) -> Call:
        """Return what to send."""
        words = bulks(map(str.encode, (*self.cursors.values(), *self.keys)))
        return Call(self.tag, b"".join([b"*%d\r\n$4\r\nMGET\r\n" % (len(words) + 1), *words]))


class OnlineReader:
    """Reads values: one MGET per slot, in which the slot's cursor records stand too, all in one flush."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._partitions = 0
        self._standings = Standings()

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
        slots: dict[tuple[str, int], _Asked] = {}
        for place, one in enumerate(wanted):
            at = one.entity_type, partition_of(one.entity_id, partitions)
            if at not in slots:
                slots[at] = _Asked(tag(*at))
            slots[at].add(place, one)
        replies = await self._nodes.ask([asked.call() for asked in slots.values()])
        held = [NOTHING] * len(wanted)
        for asked, reply in zip(slots.values(), replies, strict=True):
            if not self._taken(asked, _values(reply), held):
                self._partitions = 0
                return None
        return held

    def _taken(self, asked: _Asked, values: Sequence[bytes | None], held: list[Held]) -> bool:
        """Put the values of one slot in their places; False where they lie elsewhere now."""
        n = len(asked.cursors)
        for cursor, data in zip(asked.cursors.values(), values, strict=False):
            self._standings.see(cursor, data)
            if self._standings.partitions(cursor) not in (0, self._partitions):
                return False
        for (place, cursor), value in zip(asked.places, values[n:], strict=True):
            held[place] = self._standings.held(cursor, value)
        return True

    async def _known_partitions(self) -> int:
        (found,) = await self._nodes.ask([_GET_META])
        if isinstance(found, ReplyError):
            raise found
        if isinstance(found, bytes):
            meta = msgspec.json.decode(found, type=Meta)
            refusals.refuse_other(found, Meta(FORMAT, meta.partitions))
            self._partitions = meta.partitions
        return self._partitions


def _values(reply: Reply) -> list[bytes | None]:
    if isinstance(reply, ReplyError):
        raise reply
    assert isinstance(reply, list)
    return [value if isinstance(value, bytes) else None for value in reply]
