"""What features published and holds, against the slow fold of the logs."""

from collections.abc import Mapping, Sequence

from tests.unit.oracles.fold import Folded, fold
from tests.unit.oracles.stored import known_as, opened, opened_horizon
from tests.unit.oracles.windows import Oracle

from millrace.spec import Deployment, EventSpec, GroupSpec, Scalar
from millrace_common.codec import decode
from millrace_common.keys import partition_of
from millrace_common.messages import FeatureRow, Position
from millrace_common.records import Record
from millrace_common.slots import tag, value_key
from millrace_engine.entity import EntityPlan, compile_entity

Log = Sequence[Sequence[Record]]


def own(spec: EventSpec, fields: Mapping[str, Scalar]) -> str:
    """Return the entity that an event is about, on raw-data."""
    names = (spec.refers_field,) if spec.refers_field else spec.entity_fields
    return str(fields[names[0]])


def published(features: Log) -> dict[str, FeatureRow]:
    """Return the effective rows by id: of each the last."""
    return {row.row_id: row for row in lying(features)}


def lying(features: Log) -> list[FeatureRow]:
    """Return all rows as they lie there, having seen that what was made of one event is always the same bytes."""
    values: dict[tuple[str, Position], set[bytes]] = {}
    rows = []
    for record in (record for log in features for record in log):
        message = decode(record)
        if isinstance(message, FeatureRow):
            values.setdefault((message.row_id, message.source), set()).add(record.value or b"")
            rows.append(message)
    assert {len(copies) for copies in values.values()} <= {1}
    return rows


def hold_rows(rows: Mapping[str, FeatureRow], folded: Folded, entity_type: str) -> None:
    """Assert that the rows of an entity type that are not late are exactly those of the fold."""
    found = {
        (row.event_type, row.event_id): row.groups
        for row in rows.values()
        if row.entity_type == entity_type and not row.late
    }
    assert found == folded.rows


def hold_store(store: Mapping[str, bytes], folded: Folded, deployment: Deployment, entity_type: str, n: int) -> None:
    """Assert that the store holds the fold's rings, ids and answers of every entity, and of no other."""
    groups = groups_of(deployment, entity_type)
    copies = any(group.by != deployment.events[group.event].entity_fields for group in groups)
    plan = compile_entity(deployment, entity_type, copies=copies)
    seen_keys = set()
    for entity, oracle in folded.entities.items():
        if not oracle.counted:
            continue
        slot_tag = tag(entity_type, partition_of(entity, n))
        key = f"{slot_tag}:{'o' if copies else 'i'}:{entity}"
        seen_keys.add(key)
        _hold_horizon(store[key], oracle, plan)
        for group, expected in zip(plan.groups, oracle.groups, strict=True):
            newest = oracle.newest.get(group.spec.event)
            if newest is None:
                continue
            value = store[value_key(slot_tag, entity, group.spec.key)]
            held = opened(value, features=len(group.spec.features)).ring
            assert held == [(entry.time_us, _known(plan, group.spec.event, entry.event_id)) for entry in expected.ring]
            assert group.read(value, newest + 1).values == expected.values(newest + 1)
    prefix = f"fs:{{{entity_type}."
    found = {key for key in store if key.startswith(prefix) and key.split("}:")[1][0] in "io"}
    assert found == seen_keys


def groups_of(deployment: Deployment, entity_type: str) -> list[GroupSpec]:
    """Return the groups of an entity type."""
    return [group for group in deployment.groups.values() if group.entity_type == entity_type]


def _hold_horizon(value: bytes, oracle: Oracle, plan: EntityPlan) -> None:
    for spec, held in zip(plan.events, opened_horizon(value, types=len(plan.events)).types, strict=True):
        counted = oracle.counted.get(spec.type, [])
        assert bool(held.ids) == bool(counted)
        if counted:
            assert held.newest_us == oracle.newest[spec.type]
        assert {id_ for id_, _ in held.ids} <= {_known(plan, spec.type, past.event_id) for past in counted}


def _known(plan: EntityPlan, event_type: str, event_id: str) -> int:
    return known_as(plan.entity_type, event_type, event_id, plan.group_keys)


def hold_all(raw: Log, side: Log, features: Log, store: Mapping[str, bytes], deployment: Deployment) -> int:
    """Assert everything for cards (raw-data) and merchants (copies); return how many rows there are."""
    cards = tuple(g for g in deployment.groups.values() if g.entity_type == "card")
    merchants = tuple(g for g in deployment.groups.values() if g.entity_type == "merchant")
    rows = published(features)
    of_cards = fold(raw, deployment, cards, own)
    hold_rows(rows, of_cards, "card")
    hold_store(store, of_cards, deployment, "card", len(raw))
    if merchants:
        of_merchants = fold(side, deployment, merchants, lambda spec, fields: str(fields["merchant"]))
        hold_rows(rows, of_merchants, "merchant")
        hold_store(store, of_merchants, deployment, "merchant", len(side))
        forwarded = {event for event in of_cards.rows if event[0] == "payment"}
        arrived = of_merchants.rows.keys() | {("payment", event) for event in of_merchants.late}
        assert arrived == forwarded
    return len(rows)
