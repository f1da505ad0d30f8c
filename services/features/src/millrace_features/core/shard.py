"""The cached state of one slot: what this process knows of its entities, and how far it is."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from millrace_common.keys import redis_id, redis_ids
from millrace_common.slots import KEYS_PER_WRITE, Cursor, Slot
from millrace_common.topics import RAW_DATA
from millrace_engine.entity import EntityPlan
from millrace_engine.steps import EventColumns, Steps
from millrace_engine.table import EntityTable
from millrace_engine.texts import Texts, encoded, joined
from millrace_features.core.changed import Changed
from millrace_features.core.lots import Lot
from millrace_features.core.rows import RowWriter, compile_rows
from millrace_features.core.sheaves import Laid


@dataclass(frozen=True, slots=True)
class Stepped:
    """A lot with what came of it: its row ids, and verdict and values of each event."""

    lot: Lot
    writer: RowWriter
    digests: bytes
    steps: Steps

    @property
    def correction(self) -> str | None:
        """Return what it does to an event that was told of before; it is then alone."""
        return self.lot.corrections.get(self.lot.places[0])

    def of(self, verdict: int) -> "Stepped":
        """Return the part with this verdict."""
        chosen = np.flatnonzero(self.steps.verdicts == verdict)
        if len(chosen) == len(self.lot):
            return self
        digests = b"".join(self.digests[16 * i : 16 * i + 16] for i in chosen.tolist())
        steps = Steps(self.steps.verdicts[chosen], self.steps.values[chosen])
        return Stepped(self.lot.kept(chosen.tolist()), self.writer, digests, steps)

    def rows(self, **said: object) -> Laid:
        """Return a row for each event, of which there is one; `said` are more fields of the rows."""
        return self.writer.write(self.lot, self.digests, self.steps.values, **said)


@dataclass(slots=True)
class Shard:
    """Entities of one slot. `cursor` is what the store holds, `marks` and the table what the batch at hand changed."""

    slot: Slot
    plan: EntityPlan
    writers: Mapping[str, RowWriter]
    table: EntityTable
    cursor: Cursor | None
    marks: dict[int, int]
    _around: Sequence[tuple[str, str]] = field(init=False)
    """What stands in the keys of an entity before and after its id; of its horizon, then of each group."""
    _around_texts: Texts = field(init=False)

    @classmethod
    def opened(cls, slot: Slot, plan: EntityPlan, cursor: Cursor | None, *, aligned: bool) -> "Shard":
        """Return a slot that begins where its cursor stands, without any entity. `aligned`: as RowWriter has it."""
        spine = slot.topic == RAW_DATA.name
        writers = {spec.type: compile_rows(plan, spec, spine=spine, aligned=aligned) for spec in plan.events}
        marks = dict(cursor.marks) if cursor else {}
        return cls(slot, plan, writers, EntityTable(plan, slot.partition), cursor, marks)

    def __post_init__(self) -> None:
        before = self.slot.value_key("", "").removesuffix(":")
        self._around = [(self.slot.horizon_key(""), ""), *((before, f":{key}") for key in self.plan.group_keys)]
        self._around_texts = joined([text.encode() for text in chain.from_iterable(self._around)]).by(2)

    def new(self, lots: Sequence[Lot]) -> list[Lot]:
        """Return what is new here of lots: not applied before, and no second copy of one origin (R12)."""
        start = -1 if self.cursor is None else self.cursor.offset
        fresh = []
        for lot in lots:
            if lot.records.offsets[0] < start:
                lot = lot.kept(np.flatnonzero(lot.records.offsets >= start).tolist())
            fresh.append(lot)
        again = self._made_twice(fresh)
        if again:
            fresh = [lot.kept([i for i, place in enumerate(lot.places) if place not in again]) for lot in fresh]
        return [lot for lot in fresh if len(lot)]

    def _made_twice(self, lots: Sequence[Lot]) -> set[int]:
        """Return the places of copies whose origin is no higher than the last one of its partition."""
        copies = sorted(
            (place, lot.origins[place]) for lot in lots if lot.origins for place in lot.places if place in lot.origins
        )
        again = set()
        for place, origin in copies:
            if origin.offset <= self.marks.get(origin.partition, -1):
                again.add(place)
            else:
                self.marks[origin.partition] = origin.offset
        return again

    def unknown(self, lots: Sequence[Lot]) -> list[str]:
        """Return the entities of lots that are not in the table, once each."""
        return list(dict.fromkeys(chain.from_iterable(lot.strangers() for lot in lots)))

    def keys(self, entity_id: str) -> list[str]:
        """Return where an entity's state lies: its id horizon, then a value for each group."""
        named = redis_id(entity_id)
        return [before + named + after for before, after in self._around]

    def fill(self, unknown: Sequence[str], values: Sequence[bytes | None]) -> None:
        """Take what the store holds of entities, in the order of their keys."""
        width = 1 + len(self.plan.groups)
        self.table.fill(unknown, [values[i : i + width] for i in range(0, len(values), width)])

    def step(self, lots: Sequence[Lot]) -> list[Stepped]:
        """Step the events of lots, all in log order: a correction parts what comes before it from what comes after."""
        corrected = [lot for lot in lots if lot.corrections]
        corrections = sorted(place for lot in corrected for place in lot.places if place in lot.corrections)
        if not corrections:
            return self._step(lots)
        found, first = [], 0
        for place in corrections:
            found += self._step(_between(lots, first, place))
            (lot,) = _between(lots, place, place + 1)
            found.append(self._correct(lot, again=lot.corrections[place] == "replace"))
            first = place + 1
        return found + self._step(_between(lots, first, 1 + max(lot.places[-1] for lot in lots)))

    def _correct(self, lot: Lot, *, again: bool) -> Stepped:
        writer = self.writers[lot.spec.type]
        digests = writer.ids(lot.event_ids)
        return Stepped(lot, writer, digests, self.table.correct(self._columns(lot, digests), again=again))

    def _step(self, lots: Sequence[Lot]) -> list[Stepped]:
        if not lots:
            return []
        writers = [self.writers[lot.spec.type] for lot in lots]
        digests = [writer.ids(lot.event_ids) for writer, lot in zip(writers, lots, strict=True)]
        parts = [self._columns(lot, ids) for lot, ids in zip(lots, digests, strict=True)]
        if len(parts) == 1:
            return [Stepped(lots[0], writers[0], digests[0], self.table.step(parts[0]))]
        columns = EventColumns._make(map(np.concatenate, zip(*parts, strict=True)))
        order = np.argsort(columns.offsets, kind="stable")
        steps = self.table.step(EventColumns._make(column[order] for column in columns))
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        found, at = [], 0
        for lot, writer, ids in zip(lots, writers, digests, strict=True):
            mine = back[at : at + len(lot)]
            found.append(Stepped(lot, writer, ids, Steps(steps.verdicts[mine], steps.values[mine])))
            at += len(lot)
        return found

    def _columns(self, lot: Lot, digests: bytes) -> EventColumns:
        n = len(lot)
        if n and lot.slots.min() < 0:  # it is in the table by now
            lot.locate(self.table.slots)
        return EventColumns(
            lot.slots,
            np.full(n, self.plan.kinds[lot.spec.type], np.int8),
            lot.times_us,
            np.frombuffer(digests, np.int64)[::2].copy(),
            lot.records.offsets,
            lot.appends_us,
            self.plan.arguments(lot.spec.type, lot.fields, n),
        )

    def writes(self, first: int, end: int) -> list[tuple[Mapping[str, bytes], Cursor]]:
        """Return the guarded calls that store the batch [first, end): only the last one moves offset and marks (R3)."""
        before = self.cursor or Cursor(first, {})
        after = Cursor(max(before.offset, end), dict(self.marks))
        slots = self.table.dirty()
        if not len(slots):
            return [] if after == self.cursor else [({}, after)]
        records = self.table.changes(slots)
        names = encoded(redis_ids(self.table.names(slots)))
        step = max(1, KEYS_PER_WRITE // (1 + len(self.plan.groups)))
        parts = [slice(begin, begin + step) for begin in range(0, len(slots), step)]
        changed = [Changed(self._around_texts, names.part(part), records.part(part)) for part in parts]
        return [*((one, before) for one in changed[:-1]), (changed[-1], after)]

    def stored(self, cursor: Cursor) -> None:
        """Take note that all of a batch's writes are done."""
        self.cursor = cursor
        self.table.clean()


def _between(lots: Sequence[Lot], first: int, end: int) -> list[Lot]:
    """Return the parts of lots with places in [first, end)."""
    cuts = [(lot, bisect_left(lot.places, first), bisect_left(lot.places, end)) for lot in lots]
    return [lot.kept(range(begin, stop)) for lot, begin, stop in cuts if begin < stop]
