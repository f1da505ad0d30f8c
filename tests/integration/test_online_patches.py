"""Patches: ranges of a stored value, on the store's twin in memory and on a real Redis."""

import struct

import pytest
from tests.fakes.online import SLOT, Store, value

from millrace_common.errors import Fenced
from millrace_common.slots import PATCH, Cursor

KEY = SLOT.value_key("c1", "Spend@01234567")


def patch(base: bytes, offset: int, *ranges: tuple[int, bytes]) -> bytes:
    """Return what changes ranges of `base`, which then stands at `offset`."""
    head = (
        bytes([PATCH, 0, 0, 0])
        + base[4:8]
        + struct.pack("<q", offset)
        + base[8:16]
        + struct.pack("<q", 1 + len(ranges))
    )
    parts = [(8, struct.pack("<q", offset)), *ranges]
    return head + b"".join(struct.pack("<II", len(data), place) + data for place, data in parts)


def changed(base: bytes, offset: int, *ranges: tuple[int, bytes]) -> bytes:
    """Return what that comes to."""
    new = bytearray(base)
    for place, data in [(8, struct.pack("<q", offset)), *ranges]:
        new[place : place + len(data)] = data
    return bytes(new)


async def test_a_patch_changes_its_ranges_and_nothing_else(store: Store) -> None:
    """Zeroes, line ends and high bytes arrive as they are; the value keeps its length and takes the new offset."""
    base = value(5) + bytes(range(256)) * 8
    ranges = ((24, b"\r\n\0\xff$*"), (300, bytes(256)), (len(base) - 3, b"end"))
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: base}, Cursor(6, {}), ttl_ms=600_000)
        await writer.write(SLOT, {KEY: patch(base, 9, *ranges)}, Cursor(10, {}), ttl_ms=600_000)
        assert await writer.load(SLOT, [KEY]) == [changed(base, 9, *ranges)]


async def test_a_patch_may_lengthen_a_value(store: Store) -> None:
    """A range that begins where the value ends goes on from there."""
    base = value(5) + bytes(64)
    longer = (len(base), b"and more")
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: base}, Cursor(6, {}))
        await writer.write(SLOT, {KEY: patch(base, 9, longer)}, Cursor(10, {}))
        assert await writer.load(SLOT, [KEY]) == [changed(base, 9, longer)]


async def test_a_patch_that_is_there_already_changes_nothing(store: Store) -> None:
    """A call may be repeated when its answer got lost, also after its value has gone on."""
    base = value(5) + bytes(64)
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        await writer.write(SLOT, {KEY: base}, Cursor(6, {}))
        for end in (10, 11):
            await writer.write(SLOT, {KEY: patch(base, 9, (20, b"x"))}, Cursor(end, {}))
        assert await writer.load(SLOT, [KEY]) == [changed(base, 9, (20, b"x"))]


@pytest.mark.parametrize("held", [None, 4, 7])
async def test_a_patch_of_another_value_is_fenced(store: Store, held: int | None) -> None:
    """Where the value is gone or stands elsewhere than its writer left it, nothing is written into it."""
    async with store as port:
        writer = port.writer()
        await writer.take(SLOT)
        await writer.write(SLOT, {} if held is None else {KEY: value(held)}, Cursor(8, {}))
        before = await writer.load(SLOT, [KEY])
        with pytest.raises(Fenced):
            await writer.write(SLOT, {KEY: patch(value(5), 9)}, Cursor(10, {}))
        assert await writer.load(SLOT, [KEY]) == before
