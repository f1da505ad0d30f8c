"""What Redis holds, against the slow fold: every key, and nothing else."""

from collections.abc import Iterator, Mapping

from tests.e2e.fold import Folded, Kept
from tests.unit.oracles.stored import digest, opened
from tests.unit.oracles.windows import REMEMBERED, GroupOracle

from millrace.spec import Deployment
from millrace_common.keys import partition_of
from millrace_common.slots import META_KEY, CursorRecord, tag, value_key
from millrace_engine import horizon
from millrace_engine.groups import compile_group
from millrace_engine.rings import ALWAYS_US
from millrace_engine.values import COPIES

HOUR_US = 3_600_000_000

Store = Mapping[str, bytes]


def hold_entities(store: Store, folded: Folded, deployment: Deployment, partitions: int) -> set[str]:
    """Assert that the store holds every entity of a fold as the fold has it; return the keys that it explains."""
    explained: set[str] = set()
    for (entity_type, entity), kept in folded.entities.items():
        if kept.last is None:
            continue
        slot = tag(entity_type, partition_of(entity, partitions))
        key = f"{slot}:{'o' if kept.copies else 'i'}:{entity}"
        assert key in store, f"{key} is lost"
        _hold_horizon(key, store[key], kept)
        explained.add(key)
        for oracle in kept.oracle.groups:
            if oracle.spec.event in kept.counted:
                key = value_key(slot, entity, oracle.spec.key)
                assert key in store, f"{key} is lost"
                _hold_value(key, store[key], kept, oracle, deployment)
                explained.add(key)
    return explained


def hold_cursors(
    store: Store, topic: str, marks: Mapping[str, Mapping[int, Mapping[int, int]]], ends: Mapping[int, int]
) -> set[str]:
    """Assert that each slot's cursor stands at its partition's end with the fold's marks; return their keys.

    `marks` by entity type and partition: the highest origin offset of each source partition.
    """
    explained = set()
    for entity_type, by_partition in marks.items():
        for partition, end in ends.items():
            key = f"{tag(entity_type, partition)}:c:{topic}:live"
            if end:
                cursor = CursorRecord.decode(store[key])
                assert (cursor.offset, cursor.marks) == (end, by_partition.get(partition, {})), key
                explained.add(key)
    return explained


def hold_nothing_else(store: Store, explained: set[str]) -> None:
    """Assert that there is no key that the logs do not explain."""
    assert set(store) == explained | {META_KEY}, sorted(set(store) ^ (explained | {META_KEY}))[:5]


def _hold_horizon(key: str, value: bytes, kept: Kept) -> None:
    stamp, seen = horizon.unpack(value)
    assert kept.last is not None
    assert (stamp.offset, stamp.append_time_us) == (kept.last.record.offset, kept.last.append_us), key
    held = [one for one in seen if one.ids]
    types = sorted(type_ for type_, events in kept.counted.items() if events)
    assert len(held) == len(types), key
    for one, type_ in zip(held, types, strict=True):
        events, newest = kept.counted[type_], kept.oracle.newest[type_]
        oldest = newest - events[0].spec.dedupe_us
        assert one.newest_us == newest, key
        wanted = {
            horizon.digest(event.event_id): event.time_us for event in events[-REMEMBERED:] if event.time_us >= oldest
        }
        assert {id_: time for id_, time in one.ids.items() if time >= oldest} == wanted, key


def _hold_value(key: str, value: bytes, kept: Kept, oracle: GroupOracle, deployment: Deployment) -> None:
    spec, last = oracle.spec, kept.last
    newest = kept.oracle.newest[spec.event]
    assert last is not None
    found = opened(value, features=len(spec.features))
    oldest = newest - deployment.events[spec.event].lateness_us
    assert found.flags == (COPIES if kept.copies else 0), key
    assert (found.offset, found.partition, found.write_time_us) == (
        last.record.offset,
        last.record.partition,
        last.append_us,
    ), key
    assert (found.event_time_us, found.exact_from_us) == (newest, oldest), key
    assert found.ring == [(entry.time_us, digest(entry.event_id)) for entry in oracle.ring], key
    group = compile_group(spec)
    for at_us in _moments(newest, found.fresh_until_us):
        assert group.read(value, at_us).values == oracle.values(at_us), (key, at_us)


def _moments(newest_us: int, fresh_until_us: int) -> Iterator[int]:
    """Yield times to ask about: right after the newest event, around the end of freshness, and later."""
    yield newest_us + 1
    if fresh_until_us != ALWAYS_US:
        yield from (fresh_until_us, fresh_until_us + 1)
    yield newest_us + 5 * HOUR_US
