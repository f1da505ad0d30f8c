"""The cached state of one slot: what this process knows of its entities, and how far it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from millrace_common.slots import Cursor, Slot
from millrace_engine.entity import EntityPlan, EntityState
from millrace_features.core.intake import Arrival

ENTITIES_PER_CALL_MAX = 300


@dataclass(slots=True)
class Shard:
    """Entities of one slot. `cursor` is what the store holds, `marks` and `dirty` what the batch at hand changed."""

    slot: Slot
    plan: EntityPlan
    cursor: Cursor | None
    marks: dict[int, int]
    states: dict[str, EntityState] = field(default_factory=dict)
    dirty: dict[str, None] = field(default_factory=dict)

    def takes(self, arrival: Arrival) -> bool:
        """Say whether an arrival is new here: not applied before, and no second copy of one origin (R12)."""
        if self.cursor is not None and arrival.record.offset < self.cursor.offset:
            return False
        origin = arrival.origin
        if origin is not None:
            if origin.offset <= self.marks.get(origin.partition, -1):
                return False
            self.marks[origin.partition] = origin.offset
        return True

    def keys(self, entity_id: str) -> list[str]:
        """Return where an entity's state lies: its id horizon, then a value for each group."""
        slot = self.slot
        values = [slot.value_key(entity_id, group_key) for group_key in self.plan.group_keys]
        return [slot.horizon_key(entity_id), *values]

    def fill(self, unknown: Sequence[str], values: Sequence[bytes | None]) -> None:
        """Take what the store holds of entities, in the order of their keys."""
        width = 1 + len(self.plan.groups)
        for place, entity_id in enumerate(unknown):
            horizon, *groups = values[place * width : (place + 1) * width]
            self.states[entity_id] = self.plan.decode(groups, horizon)

    def writes(self, first: int, end: int) -> Iterator[tuple[Mapping[str, bytes], Cursor]]:
        """Yield the guarded calls that store the batch [first, end): only the last one moves offset and marks (R3)."""
        before = self.cursor or Cursor(first, {})
        after = Cursor(max(before.offset, end), dict(self.marks))
        changed = list(self.dirty)
        calls = [changed[i : i + ENTITIES_PER_CALL_MAX] for i in range(0, len(changed), ENTITIES_PER_CALL_MAX)] or [[]]
        if not changed and after == self.cursor:
            return
        for entities in calls[:-1]:
            yield self._encoded(entities), before
        yield self._encoded(calls[-1]), after
        self.cursor = after
        self.dirty.clear()

    def evict(self, entities_max: int) -> None:
        """Forget the entities that were loaded first, down to `entities_max`; all are clean after the writes."""
        for entity_id in list(islice(self.states, max(0, len(self.states) - entities_max))):
            del self.states[entity_id]

    def _encoded(self, entities: Sequence[str]) -> Mapping[str, bytes]:
        values: dict[str, bytes] = {}
        for entity_id in entities:
            encoded = self.plan.encode(self.states[entity_id], partition=self.slot.partition)
            for key, value in zip(self.keys(entity_id), (encoded.horizon, *encoded.values), strict=True):
                if value is not None:
                    values[key] = value
        return values
