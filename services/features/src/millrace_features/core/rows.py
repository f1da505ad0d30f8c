"""Feature rows by the thousand: the bytes that the codec gives a FeatureRow, without making one.

The codec stays the definition of a row. For each event class and entity type the same struct is made once more with the
names of its groups and features as fields, so that a batch of rows is filled and encoded column by column.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import EventSpec, GroupSpec
from millrace_common.codec import constant_headers, rfc3339_all
from millrace_common.ids import row_digests
from millrace_common.messages import FeatureRow, Position
from millrace_common.records import Outgoing
from millrace_engine.entity import EntityPlan
from millrace_features.core.lots import Lot

INTEGERS_MAX = 2**53
_ENCODE = msgspec.json.Encoder().encode
_CONSTANT = constant_headers(FeatureRow)
_FACTS = msgspec.structs.fields(FeatureRow)


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the rows of one event class and entity type; `spine` rows carry the event's fields."""

    spec: EventSpec
    entity_type: str
    group_keys: tuple[str, ...]
    spine: bool
    aligned: bool
    _row: Any
    _place: Any
    _groups: Any
    _members: tuple[tuple[Any, int, int], ...]
    """The struct of each group, and which features are its own."""
    _whole: tuple[int, ...]

    def ids(self, event_ids: Sequence[str]) -> bytes:
        """Return the row ids of events, 16 bytes each."""
        return row_digests(self.entity_type, self.spec.type, event_ids, self.group_keys)

    def write(self, lot: Lot, digests: bytes, values: NDArray[np.float32], **said: object) -> list[Outgoing]:
        """Return the row of each event of a lot; `values` [n, features], NaN where missing.

        `said`: fields of the row that are the same in all of these. A row's partition is its record's, which is at
        home: where the topic of rows has as many (`aligned`).
        """
        if not len(lot):
            return []
        n, hexes = len(lot), digests.hex()
        row_ids = [hexes[i : i + 32] for i in range(0, 32 * n, 32)]
        offsets = [record.offset for record in lot.records]
        first = lot.records[0]
        columns: dict[str, Iterable[object]] = {
            "row_id": row_ids,
            "event_type": repeat(self.spec.type),
            "event_id": lot.event_ids,
            "entity_type": repeat(self.entity_type),
            "entity_id": lot.entity_ids,
            "spine": repeat(self.spine),
            "event_time_us": lot.times_us.tolist(),
            "append_time_us": lot.appends_us.tolist(),
            "source": map(self._place, repeat(first.topic), repeat(first.partition), offsets),
            "groups": self._filled(values),
            "fields": lot.events if self.spine else repeat(None),
            **{name: repeat(fact) for name, fact in said.items()},
        }
        rows = map(self._row, *(columns.get(fact.name, repeat(fact.default)) for fact in _FACTS))
        version, type_, source = _CONSTANT
        headers = [
            (version, type_, source, ("ce_id", row_id.encode()), ("ce_time", time))
            for row_id, time in zip(row_ids, rfc3339_all(lot.times_us), strict=True)
        ]
        keys = map(str.encode, lot.entity_ids)
        topic = repeat(FeatureRow.topic)
        return list(
            map(
                Outgoing,
                topic,
                keys,
                map(_ENCODE, rows),
                headers,
                repeat(first.partition if self.aligned else None),
                offsets,
            )
        )

    def _filled(self, values: NDArray[np.float32]) -> Iterable[object]:
        columns: list[list[Any]] = values.T.tolist()
        for i in self._whole:
            column = values[:, i]
            plain = bool(np.all(np.abs(column) < INTEGERS_MAX))
            columns[i] = column.astype(np.int64).tolist() if plain else [_whole(number) for number in columns[i]]
        if not self._members:
            return repeat(self._groups(), len(values))
        return map(self._groups, *(map(group, *columns[a:b]) for group, a, b in self._members))


def compile_rows(plan: EntityPlan, spec: EventSpec, *, spine: bool, aligned: bool) -> RowWriter:
    """Return the writer of the rows that an event class gives to a plan's entities."""
    members, at = [], 0
    for i, group in enumerate(plan.groups):
        names = [feature.name for feature in group.spec.features]
        members.append((_struct(f"Group{i}", names), at, at + len(names)))
        at += len(names)
    specs: list[GroupSpec] = [group.spec for group in plan.groups]
    dtypes = chain.from_iterable((feature.dtype for feature in group.features) for group in specs)
    whole = tuple(i for i, dtype in enumerate(dtypes) if dtype == "int")
    names = [fact.name for fact in _FACTS]
    row = msgspec.defstruct(
        "Row", [(name, Any) for name in names], tag_field="type", tag=FeatureRow.__struct_config__.tag, gc=False
    )
    place = msgspec.defstruct("Place", [(name, Any) for name in Position.__struct_fields__], gc=False)
    groups = _struct("Groups", plan.group_keys)
    return RowWriter(spec, plan.entity_type, plan.group_keys, spine, aligned, row, place, groups, tuple(members), whole)


def _whole(number: float) -> int | None:
    return None if number != number else int(number)


def _struct(name: str, keys: Sequence[str]) -> Any:
    """Return a struct whose JSON has these keys, whatever they are, in this order."""
    members = {f"m{i}": key for i, key in enumerate(keys)}
    return msgspec.defstruct(name, [(member, Any) for member in members], rename=members, gc=False)
