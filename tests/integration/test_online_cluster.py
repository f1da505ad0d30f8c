"""The online store on a Redis Cluster of three nodes: slots that lie apart, move, and fail over to an older copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.online import value
from tests.fakes.redis_servers import Cluster, Server, until

from millrace_common.errors import Fenced, Misconfigured, Unavailable
from millrace_common.keys import partition_of
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.online.nodes import slot_of
from millrace_common.slots import Cursor, CursorRecord, Held, Slot, Wanted

PARTITIONS = 8
SET = "0badcafe"
GROUPS = ("Spend@01234567", "Shops@12345678")
SLOTS = [Slot("raw-data", "card", partition, SET) for partition in range(PARTITIONS)]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Cluster]:
    """Four nodes; all their processes end with the test."""
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        cluster.end()


async def filled(writer: OnlineWriter, entities: list[str], offset: int = 5) -> None:
    """Store a value of each group for each entity, at one offset."""
    for slot in SLOTS:
        own = [entity for entity in entities if partition_of(entity, PARTITIONS) == slot.partition]
        values = {
            slot.value_key(entity, group): value(offset, text=entity.encode()) for entity in own for group in GROUPS
        }
        await writer.write(slot, values, Cursor(offset + 1, {}))


async def opened(writer: OnlineWriter) -> None:
    """Claim the store and take every slot."""
    await writer.claim(PARTITIONS)
    for slot in SLOTS:
        await writer.take(slot)


def asked(entities: list[str]) -> list[Wanted]:
    """Ask for every group of each entity."""
    return [Wanted("raw-data", "card", entity, group) for entity in entities for group in GROUPS]


def held(entities: list[str], offset: int = 5) -> list[Held]:
    """Return what is to be found."""
    return [Held(value(offset, text=entity.encode()), whole=True) for entity in entities for _ in GROUPS]


async def test_slots_on_three_nodes_are_written_loaded_and_read(nodes: Cluster) -> None:
    """Each call goes to the node of its hash tag; a view over many entities is one flush to each node."""
    cluster = await nodes.form()
    entities = [f"c{n}" for n in range(100)]
    assert len({cluster.owner(slot_of(slot.tag)).port for slot in SLOTS}) == 3
    async with (
        OnlineWriter.connect(cluster.nodes[1].url) as writer,
        OnlineReader.connect(cluster.nodes[2].url) as reader,
    ):
        await opened(writer)
        await filled(writer, entities)
        assert await reader.read(asked(entities)) == held(entities)
        for slot in SLOTS:
            await writer.check(slot)
            own = [entity for entity in entities if partition_of(entity, PARTITIONS) == slot.partition]
            keys = [slot.value_key(entity, GROUPS[0]) for entity in own]
            assert await writer.load(slot, keys) == [value(5, text=entity.encode()) for entity in own]


async def test_a_slot_that_moves_is_followed(nodes: Cluster) -> None:
    """While a slot moves and after, reads and guarded calls go where its keys are (ASK, MOVED)."""
    cluster = await nodes.form()
    async with (
        OnlineWriter.connect(cluster.nodes[0].url) as writer,
        OnlineReader.connect(cluster.nodes[0].url) as reader,
    ):
        await opened(writer)
        await filled(writer, ["c1"])
        slot = SLOTS[partition_of("c1", PARTITIONS)]
        source = cluster.owner(slot_of(slot.tag))
        target = next(node for node in cluster.primaries if node is not source)
        assert await reader.read(asked(["c1"])) == held(["c1"])
        for offset, _ in enumerate(cluster.move(slot_of(slot.tag), target), start=6):
            assert await reader.read(asked(["c1"])) == held(["c1"], offset - 1)
            values = {slot.value_key("c1", group): value(offset, text=b"c1") for group in GROUPS}
            await writer.write(slot, values, Cursor(offset + 1, {}))
            assert await reader.read(asked(["c1"])) == held(["c1"], offset)
            await writer.check(slot)
        assert not source.ask("CLUSTER", "COUNTKEYSINSLOT", slot_of(slot.tag))


async def test_a_failover_to_an_older_copy_is_fenced_and_nothing_of_it_is_whole(nodes: Cluster) -> None:
    """R11 and R8: the replica that takes over has missed writes; the writer is fenced, a reader trusts none of it."""
    cluster = await nodes.form()
    slot = next(slot for slot in SLOTS if cluster.owner(slot_of(slot.tag)) is cluster.primaries[0])
    entity = next(f"c{n}" for n in range(1_000) if partition_of(f"c{n}", PARTITIONS) == slot.partition)
    url = cluster.nodes[1].url
    async with OnlineWriter.connect(url) as writer, OnlineReader.connect(url) as reader:
        await opened(writer)
        await filled(writer, [entity], 5)
        await until(lambda: _replicated(cluster.primaries[0]))
        cluster.replica.kill()
        await filled(writer, [entity], 7)
        assert await reader.read(asked([entity])) == held([entity], 7)
        cluster.primaries[0].kill()
        cluster.replica.start()
        await cluster.is_promoted()
        with pytest.raises(Fenced):
            await writer.check(slot)
        assert [found.whole for found in await _read(reader, entity)] == [False, False]
        async with OnlineWriter.connect(url) as successor, OnlineReader.connect(url) as late_reader:
            await successor.claim(PARTITIONS)
            assert await successor.take(slot, 8) == Cursor(6, {})
            for each in (reader, late_reader):
                assert [found.whole for found in await _read(each, entity)] == [False, False]
            await successor.write(slot, {}, Cursor(7, {}))
            assert [found.whole for found in await _read(reader, entity)] == [False, False]
            values = {slot.value_key(entity, group): value(7, text=entity.encode()) for group in GROUPS}
            await successor.write(slot, values, Cursor(8, {}))
            for each in (reader, late_reader):
                assert await _read(each, entity) == held([entity], 7)


async def test_a_cluster_has_no_numbered_databases(nodes: Cluster) -> None:
    """A URL that names one is refused, not silently read as database 0."""
    cluster = await nodes.form()
    with pytest.raises(Misconfigured, match="database 0"):
        async with OnlineWriter.connect(cluster.nodes[0].url.replace("/0", "/3")):
            pass


async def _read(reader: OnlineReader, entity: str) -> list[Held]:
    """Read once the reader has found the node that answers now."""
    for _ in range(20):
        try:
            return await reader.read(asked([entity]))
        except Unavailable:
            continue
    raise AssertionError("the reader does not find the new primary")


def _replicated(primary: Server) -> bool:
    """Say whether the replica has all that was written; AOF on both sides then holds it."""
    return int(primary.ask("WAIT", 1, 100)) == 1


def test_what_a_cursor_record_of_an_earlier_version_says() -> None:
    """Records without `whole` and `partitions` are read: their slots are whole."""
    record = CursorRecord.decode(b'{"offset":7,"token":"t","marks":{"0":3},"set":"0badcafe"}')
    assert (record.whole, record.partitions, record.marks) == (0, 0, {0: 3})
