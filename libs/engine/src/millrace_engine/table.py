"""The entities of one type and partition that a process has in memory: loaded, stepped, stored, forgotten."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from millrace_engine import ids
from millrace_engine.arena import APPENDED_US, OFFSET, arena_of, forget, is_full, touch, with_cells, with_slots
from millrace_engine.entity import EntityPlan
from millrace_engine.groups import scratch
from millrace_engine.layout import IDS_CAPACITIES, Int64s
from millrace_engine.patches import cells_max, mark_stored, seal
from millrace_engine.records import IDS_HEADER_CELLS, TYPE_CELLS, Stored, are_walkable, load_all
from millrace_engine.rings import holds, retract
from millrace_engine.steps import APPLIED, COUNTED, LATE, EventColumns, Steps, count_again, step_all
from millrace_engine.texts import Texts
from millrace_engine.values import IDS_MAGIC, Unreadable

SLOTS_MIN = 1_024
GROWTH = 1.5
StoredEntity = Sequence[bytes | None]
"""An entity's id horizon, then the value of each group in the plan's order."""


class EntityTable:
    """States of many entities as arrays. Changed in place by `step`; equal to what storing and loading them gives."""

    def __init__(self, plan: EntityPlan, partition: int) -> None:
        self.plan = plan
        self.slots: dict[str, int] = {}
        """The slot of each entity that is in memory, the one loaded first first."""
        self._layout = plan.layout(partition)
        self._arena = arena_of(self._layout, cells=1 << 16, slots=SLOTS_MIN)
        self._names: list[str] = []
        self._unused: list[int] = []
        self._scratch = scratch(len(self._layout.windows))
        self._words = [plan.ids_word, *(group.columns.word for group in plan.groups)]

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def memory_bytes(self) -> int:
        """Return how much memory the entities take, names aside."""
        return self._arena.cells.ints.nbytes + self._arena.slots.nbytes

    def fill(self, entity_ids: Sequence[str], stored: Sequence[StoredEntity]) -> None:
        """Take entities that are not in memory, as they are stored; those of another set of groups as never stored.

        Raises Unreadable.
        """
        slots = self._new_slots(entity_ids)
        records, first = self._stored([self._checked(one) for one in stored]), 0
        if not are_walkable(self._layout, records):
            raise Unreadable("a feature value is cut short")
        while (first := load_all(self._layout, self._arena, slots, records, first)) < len(slots):
            self._grow()

    def step(self, events: EventColumns) -> Steps:
        """Judge events in log order, and enter those that count.

        Entities have nothing to do with each other: the events of each follow one another, while it is in the cache.
        """
        n, order = len(events.slots), np.argsort(events.slots, kind="stable")
        steps = Steps(np.zeros(n, dtype=np.int8), np.full((n, len(self.plan.features)), np.nan, dtype=np.float32))
        while len(order := order[step_all(self._layout, self._arena, events, steps, self._scratch, order) :]):
            self._grow()
        return steps

    def dirty(self) -> Int64s:
        """Return the slots that have changed since `clean`."""
        changed = self._arena.changed
        return changed[1 : 1 + changed[0]].copy()

    def clean(self) -> None:
        """Take what has changed as stored."""
        mark_stored(self._layout, self._arena)

    def names(self, slots: Int64s) -> list[str]:
        """Return which entities have slots."""
        return list(map(self._names.__getitem__, slots.tolist()))

    def encoded(self, slots: Int64s) -> list[list[bytes | None]]:
        """Return the records of entities by their slots; a group whose event never happened has none."""
        return [[record or None for record in records] for records in self._sealed(slots, whole=True).by_row()]

    def changes(self, slots: Int64s) -> Texts:
        """Return the same where an entity has changed much, else patches of what was stored (values.PATCH_MAGIC).

        [n, 1 + groups], empty where there is none.
        """
        return self._sealed(slots, whole=False)

    def _sealed(self, slots: Int64s, *, whole: bool) -> Texts:
        width = 1 + len(self.plan.groups)
        first, cells = np.empty((2, len(slots), width), dtype=np.int64)
        ints = np.empty(cells_max(self._layout, self._arena, slots), dtype=np.int64)
        how = int.from_bytes(self.plan.ids_word, "little", signed=True), whole
        used = seal(self._layout, self._arena, slots, Stored(ints, first, cells), self._scratch, how)
        return Texts(ints[:used].view(np.uint8), 8 * first, 8 * cells)

    def retract(self, slot: int, group: int, digest: int) -> bool:
        """Take an event out of a group by the digest of its id; False: it is not held as it came any more."""
        taken = retract(self._layout, self._arena, slot, group, digest)
        if taken:
            touch(self._arena, slot)
        return taken

    def correct(self, event: EventColumns, *, again: bool) -> Steps:
        """Take one event back by its id, and enter it anew (`again`) as `event` tells it; both at this one's offset.

        LATE: a group does not hold it as it came any more, or it never counted; then nothing changes.
        """
        steps = Steps(np.full(1, LATE, dtype=np.int8), np.full((1, len(self.plan.features)), np.nan, dtype=np.float32))
        slot, kind, digest = int(event.slots[0]), int(event.kinds[0]), int(event.ids[0])
        state = self._arena.slots[slot]
        if event.offsets[0] <= state[OFFSET]:
            steps.verdicts[0] = APPLIED
            return steps
        own = [g for g, group in enumerate(self.plan.groups) if self.plan.kinds[group.spec.event] == kind]
        held = all(holds(self._layout, self._arena, slot, group, digest) for group in own)
        if not held or not ids.holds(self._layout, self._arena, slot, kind, digest):
            return steps
        for group in own:
            self.retract(slot, group, digest)
        steps.verdicts[0] = COUNTED
        if again:
            while is_full(self._layout, self._arena):
                self._grow()
            count_again(self._layout, self._arena, event, steps, self._scratch)
        else:
            state[OFFSET], state[APPENDED_US] = event.offsets[0], event.appends_us[0]
            touch(self._arena, slot)
        return steps

    def evict(self, entities_max: int) -> None:
        """Forget the entities that were loaded first, down to `entities_max`; all are stored by now."""
        for entity_id in list(islice(self.slots, max(0, len(self.slots) - entities_max))):
            slot = self.slots.pop(entity_id)
            forget(self._arena, slot)
            self._unused.append(slot)

    def _new_slots(self, entity_ids: Sequence[str]) -> Int64s:
        slots = []
        for entity_id in entity_ids:
            slot = self._unused.pop() if self._unused else len(self._names)
            if slot == len(self._names):
                self._names.append(entity_id)
            self._names[slot] = entity_id
            self.slots[entity_id] = slot
            slots.append(slot)
        held = len(self._arena.slots)
        if len(self._names) > held:
            self._arena = with_slots(self._arena, self._layout, max(len(self._names), int(held * GROWTH)))
        return np.array(slots, dtype=np.int64)

    def _grow(self) -> None:
        held = len(self._arena.cells.ints)
        self._arena = with_cells(self._arena, max(int(held * GROWTH), held + self._layout.growth))

    def _checked(self, records: StoredEntity) -> StoredEntity:
        """Return an entity's records, having seen that they are of this set and format. Raises Unreadable."""
        ids = records[0]
        if ids is None or ids[4:8] != self.plan.set:
            return [None] * len(records)
        if ids[0] != IDS_MAGIC or len(ids) % 8 or len(ids) != self._ids_bytes(ids):
            raise Unreadable("an id horizon is not of this format")
        for record, word in zip(records, self._words, strict=True):
            if record is not None and (record[:8] != word or len(record) % 8):
                raise Unreadable("a feature value is not of this format")
        return records

    def _ids_bytes(self, ids: bytes) -> int:
        """Return how long an id horizon is that says of itself what this one says; 0: no horizon says that."""
        at = IDS_HEADER_CELLS
        for _ in self.plan.events:
            if len(ids) < 8 * (at + TYPE_CELLS):
                return 0
            n, ever, capacity = np.frombuffer(ids, dtype=np.int64, count=3, offset=8 * (at + 1)).tolist()
            if capacity not in (0, *IDS_CAPACITIES) or not 0 <= n <= min(capacity, ever):
                return 0
            at += TYPE_CELLS + 2 * capacity
        return 8 * at

    def _stored(self, entities: Sequence[StoredEntity]) -> Stored:
        shape = (len(entities), 1 + len(self.plan.groups))
        records = [record or b"" for one in entities for record in one]
        cells = np.array([len(record) // 8 for record in records], dtype=np.int64).reshape(shape)
        ints = np.frombuffer(b"".join(records) or bytes(8), dtype=np.int64).copy()
        return Stored(ints, np.cumsum(cells.ravel()).reshape(shape) - cells, cells)
