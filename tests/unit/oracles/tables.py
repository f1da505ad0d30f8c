"""The engine as a service drives it: a table, filled from a store in memory and written back to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from tests.unit.oracles.logs import Logged
from tests.unit.oracles.stored import digest
from tests.unit.oracles.windows import Oracle

from millrace.spec import Scalar
from millrace_engine.entity import EntityPlan
from millrace_engine.steps import APPLIED, COUNTED, DUPLICATE, LATE, EventColumns
from millrace_engine.table import EntityTable

VERDICTS = {COUNTED: "counted", DUPLICATE: "duplicate", LATE: "late", APPLIED: "applied"}
CORRECTED = {
    "replace": {COUNTED: "corrected", LATE: "not-held", APPLIED: "applied"},
    "withdraw": {COUNTED: "withdrawn", LATE: "not-held", APPLIED: "applied"},
}
PARTITION = 3
Rows = dict[str, dict[str, Scalar]]


@dataclass
class Driven:
    """A table with its store. Offsets count on from 0."""

    plan: EntityPlan
    store: dict[str, list[bytes | None]] = field(default_factory=dict)
    offset: int = 0
    written_bytes: int = 0
    """By the last step."""
    table: EntityTable = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything but the store."""
        self.table = EntityTable(self.plan, PARTITION)

    def evict(self, entities_max: int) -> None:
        """Keep only so many entities in memory."""
        self.table.evict(entities_max)

    def step(self, batch: Sequence[Logged]) -> list[tuple[str, Rows]]:
        """Step through a batch and write what has changed; return verdicts, and the rows of what counted."""
        self._load(batch)
        found = [one for part in _parted(batch) for one in self._stepped(part)]
        self._store()
        return found

    def _stepped(self, part: Sequence[Logged]) -> list[tuple[str, Rows]]:
        columns, correction = self._columns(part), part[0].event.correction
        self.offset += len(part)
        if correction is None:
            steps, meant = self.table.step(columns), VERDICTS
        else:
            steps, meant = self.table.correct(columns, again=correction == "replace"), CORRECTED[correction]
        assert steps.values.dtype == np.float32
        verdicts = steps.verdicts.tolist()
        return [
            (meant[verdict], rows_of(self.plan, steps.values[i]) if verdict == COUNTED else {})
            for i, verdict in enumerate(verdicts)
        ]

    def _store(self) -> None:
        """Write what has changed, as patches of what the store holds."""
        slots, self.written_bytes = self.table.dirty(), 0
        changed = self.table.changes(slots).by_row()
        for name, whole, changes in zip(self.table.names(slots), self.table.encoded(slots), changed, strict=True):
            before = self.store.get(name, [None] * len(whole))
            stored = [patched(old, change or None) for old, change in zip(before, changes, strict=True)]
            assert stored == whole, "patches come to something else than whole records"
            self.store[name] = stored
            self.written_bytes += sum(map(len, changes))
        self.table.clean()

    def _load(self, batch: Sequence[Logged]) -> None:
        unknown = [name for name in dict.fromkeys(logged.entity for logged in batch) if name not in self.table.slots]
        nothing: list[bytes | None] = [None] * (1 + len(self.plan.groups))
        self.table.fill(unknown, [self.store.get(name, nothing) for name in unknown])

    def _columns(self, batch: Sequence[Logged]) -> EventColumns:
        types = [event.type for event in self.plan.events]
        arguments = np.full((len(batch), self.plan.width), np.nan)
        for spec in self.plan.events:
            at = [i for i, logged in enumerate(batch) if logged.event.type == spec.type]
            names = [one.name for one in spec.fields]
            fields = {name: [batch[i].event.fields.get(name) for i in at] for name in names}
            if at:
                arguments[at] = self.plan.arguments(spec.type, fields, len(at))
        offsets = np.arange(self.offset, self.offset + len(batch), dtype=np.int64)
        return EventColumns(
            slots=np.array([self.table.slots[logged.entity] for logged in batch], np.int32),
            kinds=np.array([types.index(logged.event.type) for logged in batch], np.int8),
            times_us=np.array([logged.event.time_us for logged in batch], np.int64),
            ids=np.array([digest(logged.event.event_id) for logged in batch], np.int64),
            offsets=offsets,
            appends_us=1_700_000_000_000_000 + offsets,
            arguments=arguments,
        )


def rows_of(plan: EntityPlan, values: NDArray[np.float32]) -> Rows:
    """Return one row of values by group and feature: a count is whole, NaN is None."""
    numbers, rows = iter(values.tolist()), Rows()
    for group in plan.groups:
        found = {name: (next(numbers), whole) for name, whole in group.names}
        rows[group.spec.key] = {
            name: None if number != number else int(number) if whole else number
            for name, (number, whole) in found.items()
        }
    return rows


def _parted(batch: Sequence[Logged]) -> Iterator[Sequence[Logged]]:
    """Yield a batch in parts, each correction alone."""
    for is_correction, part in groupby(batch, key=lambda logged: logged.event.correction is not None):
        if is_correction:
            yield from ([logged] for logged in part)
        else:
            yield list(part)


def patched(old: bytes | None, change: bytes | None) -> bytes | None:
    """Return what a store holds after a change: a record, or ranges to write into the old one."""
    if change is None or change[0] != 0xD1:
        return change
    assert old is not None
    assert old[4:8] + old[8:16] == change[4:8] + change[16:24], "a patch of another record"
    new, at = bytearray(old), 32
    for _ in range(int.from_bytes(change[24:32], "little")):
        length, place = int.from_bytes(change[at : at + 4], "little"), int.from_bytes(change[at + 4 : at + 8], "little")
        assert place <= len(new), "a patch leaves a hole"
        new[place : place + length] = change[at + 8 : at + 8 + length]
        at += 8 + length
    assert at == len(change)
    assert len(new) >= len(old)
    return bytes(new)


def expected(oracles: dict[str, Oracle], plan: EntityPlan, batch: Sequence[Logged]) -> list[tuple[str, Rows]]:
    """Return what the oracle says of a batch."""
    specs = {event.type: event for event in plan.events}
    found = []
    for logged in batch:
        if logged.entity not in oracles:
            groups = tuple(group.spec for group in plan.groups)
            oracles[logged.entity] = Oracle(groups, specs, copies=plan.copies)
        row = oracles[logged.entity].step(specs[logged.event.type], logged.event)
        found.append((row.verdict, row.groups))
    return found
