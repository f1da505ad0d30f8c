"""The online store's port, on its twin in memory and on a real Redis."""

from collections.abc import Sequence

import pytest
from tests.fakes.online import SLOT, Store, opened, own_database, value

from millrace_common.errors import Fenced, Misconfigured
from millrace_common.keys import partition_of
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.online.line import Target
from millrace_common.online.nodes import Call, Nodes
from millrace_common.online.resp import Reply
from millrace_common.online_memory import MemoryOnline
from millrace_common.slots import Cursor, CursorRecord, Held, Slot, Wanted

KEY = SLOT.value_key("c1", "Spend@01234567")


async def test_what_was_written_is_taken_over(store: Store) -> None:
    """The next owner finds the cursor, the marks and the values."""
    async with store as port:
        first, second = port.writer(), port.writer()
        assert await first.take(SLOT) is None
        assert await first.load(SLOT, [KEY]) == [None]
        await first.write(SLOT, {KEY: value(5)}, Cursor(6, {0: 3}))
        assert await second.take(SLOT) == Cursor(6, {0: 3})
        assert await second.load(SLOT, [KEY, "other"]) == [value(5), None]


async def test_an_owner_is_fenced_by_the_next(store: Store) -> None:
    """Once another has written, each access of the former one is refused, even at the same offset."""
    async with store as port:
        first, second = port.writer(), port.writer()
        await first.take(SLOT)
        await first.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        await first.check(SLOT)
        await second.take(SLOT)
        await first.check(SLOT)
        await second.take(SLOT, 6)
        await first.check(SLOT)
        await second.write(SLOT, {}, Cursor(6, {}))
        before = await port.snapshot()
        with pytest.raises(Fenced):
            await first.check(SLOT)
        with pytest.raises(Fenced):
            await first.load(SLOT, [KEY])
        with pytest.raises(Fenced):
            await first.write(SLOT, {KEY: value(7)}, Cursor(8, {}))
        assert await port.snapshot() == before
        await second.check(SLOT)


@pytest.mark.parametrize("loss", ["rollback", "flush"])
async def test_a_store_that_went_back_is_noticed(store: Store, loss: str) -> None:
    """A writer whose store lost calls finds it at the next access, whichever it is."""
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        before = await port.snapshot() if loss == "rollback" else {}
        await writer.write(SLOT, {KEY: value(7)}, Cursor(8, {}))
        await port.restore(before)
        for access in (writer.check(SLOT), writer.load(SLOT, [KEY]), writer.write(SLOT, {}, Cursor(9, {}))):
            with pytest.raises(Fenced):
                await access
        assert await port.snapshot() == before
        assert await port.writer().take(SLOT) == (Cursor(6, {}) if before else None)


async def test_a_slot_that_was_taken_away_is_closed(store: Store) -> None:
    """What is still in flight when a partition is revoked cannot be stored any more."""
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        before = await port.snapshot()
        writer.forget(SLOT)
        with pytest.raises(Fenced):
            await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        assert await port.snapshot() == before


async def test_within_a_set_only_newer_offsets_overwrite(store: Store) -> None:
    """A value never goes back to an older offset; of another set of groups it is replaced whatever its offset."""
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        for offset, text in ((300, b"new"), (299, b"older"), (300, b"again")):
            await writer.write(SLOT, {KEY: value(offset, text=text)}, Cursor(301, {}))
        assert await writer.load(SLOT, [KEY]) == [value(300, text=b"new")]
        await writer.write(SLOT, {KEY: value(1, set_="11111111")}, Cursor(301, {}))
        assert await writer.load(SLOT, [KEY]) == [value(1, set_="11111111")]


async def test_a_cursor_of_another_set_counts_as_none_and_still_guards(store: Store) -> None:
    """A changed definition starts anew, and its first write still fences the owner before it."""
    async with store as port:
        before, after = port.writer(), port.writer()
        changed = Slot(SLOT.topic, SLOT.entity_type, SLOT.partition, "22222222")
        await before.take(SLOT)
        await before.write(SLOT, {}, Cursor(6, {1: 1}))
        assert await after.take(changed) is None
        await after.write(changed, {}, Cursor(1, {}))
        with pytest.raises(Fenced):
            await before.check(SLOT)


async def test_a_store_of_other_partitions_is_refused(store: Store) -> None:
    """The number of partitions that a store was written for stands in it."""
    async with store as port:
        await port.writer().claim(4)
        await port.writer().claim(4)
        with pytest.raises(Misconfigured, match="partitions"):
            await port.writer().claim(5)


async def test_many_keys_are_loaded_in_order(store: Store) -> None:
    """More keys than one script call takes come back in their order."""
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        keys = [SLOT.value_key(f"c{n}", "Spend@01234567") for n in range(2_500)]
        await writer.write(SLOT, {key: value(n) for n, key in enumerate(keys)}, Cursor(2_500, {}))
        assert await writer.load(SLOT, keys) == [value(n) for n in range(2_500)]


async def test_an_empty_slot_is_whole_from_the_start_and_begins_at_the_start(store: Store) -> None:
    """A partition without events holds all there is; whoever takes it over begins at the start of the log."""
    async with store as port:
        assert await port.writer().take(SLOT) is None
        assert await port.writer().take(SLOT) is None
        record = CursorRecord.decode((await port.snapshot())[SLOT.cursor_key])
        assert (record.offset, record.whole) == (0, 0)


@pytest.mark.parametrize(("committed", "whole"), [(None, 0), (6, 0), (5, 0), (9, 9)])
async def test_a_cursor_behind_what_was_acknowledged_says_so_at_once(
    store: Store, committed: int | None, whole: int
) -> None:
    """Taking over a store that went back marks its values before anything of it is read or rebuilt."""
    async with store as port:
        first, second, third = port.writer(), port.writer(), port.writer()
        await first.take(SLOT)
        await first.write(SLOT, {}, Cursor(6, {1: 2}))
        assert await second.take(SLOT, committed) == Cursor(6, {1: 2})
        assert CursorRecord.decode((await port.snapshot())[SLOT.cursor_key]).whole == whole
        await second.write(SLOT, {}, Cursor(8, {1: 2}))
        await third.take(SLOT, None)
        record = CursorRecord.decode((await port.snapshot())[SLOT.cursor_key])
        assert (record.offset, record.whole) == (8, whole)


async def test_an_owner_is_fenced_by_one_that_finds_the_store_lost(store: Store) -> None:
    """The mark of a lost store is a write like any other: the owner before it can do nothing any more."""
    async with store as port:
        first, second = port.writer(), port.writer()
        await first.take(SLOT)
        await second.take(SLOT, 9)
        with pytest.raises(Fenced):
            await first.write(SLOT, {KEY: value(5)}, Cursor(6, {}))


def wanted(entity: str, *, topic: str = "raw-data", entity_type: str = "card") -> Wanted:
    """Ask for an entity's value of the one group."""
    return Wanted(topic, entity_type, entity, "Spend@01234567")


async def test_a_reader_finds_what_the_writer_stored(redis_url: str) -> None:
    """A reader computes the same partitions from what the store says, across slots and entity types."""
    async with opened("redis", redis_url) as port, OnlineReader.connect(own_database(redis_url)) as reader:
        assert await reader.read([wanted("c1")]) == [Held(None, whole=False)]
        writer = port.writer()
        await writer.claim(4)
        for entity in ("c1", "c2"):
            slot = Slot("raw-data", "card", partition_of(entity, 4), SLOT.set)
            await writer.take(slot)
            key = slot.value_key(entity, "Spend@01234567")
            await writer.write(slot, {key: value(1, text=entity.encode())}, Cursor(2, {}))
        twin = MemoryOnline({k: v for k, v in (await port.snapshot()).items() if k != "fs:meta"})
        await twin.claim(4)
        asked = [wanted("c2"), wanted("c1"), wanted("c1", topic="raw-data.by-shop", entity_type="shop")]
        found = await reader.read(asked)
        assert found == await twin.read(asked)
        assert sorted((held.value or b"")[16:] for held in found) == [b"", b"c1", b"c2"]
        assert [held.whole for held in found] == [True, True, False]


async def test_the_same_call_repeated_changes_nothing(redis_url: str) -> None:
    """A call whose answer got lost is sent again: the store sees that it was applied."""

    class Twice(Nodes):
        """Nodes that are asked everything twice; the first answer gets lost."""

        async def ask(self, calls: Sequence[Call]) -> list[Reply]:
            await super().ask(calls)
            return await super().ask(calls)

    async with opened("redis", redis_url) as port:
        nodes = Twice(Target.of(own_database(redis_url)), seconds_max=5.0)
        writer = OnlineWriter(nodes)
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: value(5)}, Cursor(6, {}))
        await writer.check(SLOT)
        assert await port.writer().take(SLOT) == Cursor(6, {})
        await nodes.close()
