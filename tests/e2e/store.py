"""What Redis holds, against the slow fold: every key, and nothing else."""

from collections.abc import Iterator, Mapping

from tests.e2e.fold import Folded, Kept
from tests.e2e.reading import Read
from tests.unit.oracles.stored import known_as, opened, opened_horizon
from tests.unit.oracles.windows import REMEMBERED, GroupOracle

from millrace.spec import Deployment
from millrace_common.keys import partition_of
from millrace_common.slots import META_KEY, CursorRecord, tag, value_key
from millrace_engine.entity import EntityPlan, compile_entity
from millrace_engine.layout import ALWAYS_US
from millrace_engine.values import COPIES

HOUR_US = 3_600_000_000

Store = Mapping[str, bytes]


def hold_entities(store: Store, folded: Folded, deployment: Deployment, partitions: int) -> set[str]:
    """Assert that the store holds every entity of a fold as the fold has it; return the keys that it explains."""
    explained: set[str] = set()
    kinds = {(entity_type, kept.copies) for (entity_type, _), kept in folded.entities.items()}
    plans = {kind: compile_entity(deployment, kind[0], copies=kind[1]) for kind in kinds}
    for (entity_type, entity), kept in folded.entities.items():
        if kept.last is None:
            continue
        plan, slot = plans[entity_type, kept.copies], tag(entity_type, partition_of(entity, partitions))
        key = f"{slot}:{'o' if kept.copies else 'i'}:{entity}"
        assert key in store, f"{key} is lost"
        _hold_horizon(key, store[key], kept, plan)
        explained.add(key)
        for group, oracle in zip(plan.groups, kept.oracle.groups, strict=True):
            if group.spec.event in kept.counted:
                key = value_key(slot, entity, group.spec.key)
                assert key in store, f"{key} is lost"
                _hold_value(key, store[key], kept, plan, oracle)
                assert [group.read(store[key], at_us).values for at_us in _moments(store[key], oracle)] == [
                    oracle.values(at_us) for at_us in _moments(store[key], oracle)
                ], key
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
            cursor = CursorRecord.decode(store[key])
            assert (cursor.offset, cursor.marks) == (end, by_partition.get(partition, {})), key
            assert cursor.offset >= cursor.whole, f"{key} is not whole"
            explained.add(key)
    return explained


def hold_nothing_else(store: Store, explained: set[str]) -> None:
    """Assert that there is no key that the logs do not explain."""
    assert set(store) == explained | {META_KEY}, sorted(set(store) ^ (explained | {META_KEY}))[:5]


def _hold_horizon(key: str, value: bytes, kept: Kept, plan: EntityPlan) -> None:
    found = opened_horizon(value, types=len(plan.events))
    assert kept.last is not None
    assert (found.offset, found.append_time_us) == (kept.last.record.offset, kept.last.append_us), key
    for spec, held in zip(plan.events, found.types, strict=True):
        events = kept.counted.get(spec.type, [])
        assert bool(held.ids) == bool(events), key
        if events:
            newest = kept.oracle.newest[spec.type]
            oldest = newest - spec.dedupe_us
            assert held.newest_us == newest, key
            wanted = {_known(plan, event): event.time_us for event in events[-REMEMBERED:] if event.time_us >= oldest}
            assert {id_: time for id_, time in held.ids if time >= oldest} == wanted, key


def _hold_value(key: str, value: bytes, kept: Kept, plan: EntityPlan, oracle: GroupOracle) -> None:
    spec, last = oracle.spec, kept.last
    newest = kept.oracle.newest[spec.event]
    assert last is not None
    found = opened(value, features=len(spec.features))
    assert found.flags == (COPIES if kept.copies else 0), key
    assert (found.offset, found.partition, found.write_time_us) == (
        last.record.offset,
        last.record.partition,
        last.append_us,
    ), key
    assert (found.event_time_us, found.exact_from_us) == (newest, newest - oracle.lateness_us), key
    known = {event.event_id: _known(plan, event) for event in kept.counted[spec.event]}
    assert found.ring == [(entry.time_us, known[entry.event_id]) for entry in oracle.ring], key


def _known(plan: EntityPlan, event: Read) -> int:
    return known_as(plan.entity_type, event.spec.type, event.event_id, plan.group_keys)


def _moments(value: bytes, oracle: GroupOracle) -> Iterator[int]:
    """Yield times to ask about: right after the newest event, around the end of freshness, and later."""
    found = opened(value, features=len(oracle.spec.features))
    yield found.event_time_us + 1
    if found.fresh_until_us < ALWAYS_US:
        yield from (found.fresh_until_us, found.fresh_until_us + 1)
    yield found.event_time_us + 5 * HOUR_US
