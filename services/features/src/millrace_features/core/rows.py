"""Feature rows by the thousand: the bytes that the codec gives a FeatureRow, without making one.

The codec stays the definition of a row. What differs from row to row is written column by column, each by one call of
the library that the codec uses, and laid between what is the same in all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import EventSpec
from millrace_common.codec import constant_headers
from millrace_common.ids import row_digests
from millrace_common.messages import FeatureRow
from millrace_common.records import TopicPartition
from millrace_engine.entity import EntityPlan
from millrace_engine.texts import Texts, even, items, joined, laid, lines, times
from millrace_features.core.lots import Lot
from millrace_features.core.sheaves import Columns, Laid, headers

INTEGERS_MAX = 2**53
_ENCODER = msgspec.json.Encoder()
_ENCODE, _LINES = _ENCODER.encode, _ENCODER.encode_lines
_CONSTANT = constant_headers(FeatureRow)
_FACTS = msgspec.structs.fields(FeatureRow)
Pieces = list[bytes | None]
"""A part of a row's JSON; None: what differs from row to row."""


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the rows of one event class and entity type; `spine` rows carry the event's fields."""

    spec: EventSpec
    entity_type: str
    group_keys: tuple[str, ...]
    spine: bool
    aligned: bool
    _groups: Pieces
    _whole: tuple[bool, ...]
    """Which features are whole numbers."""

    def ids(self, event_ids: Sequence[str]) -> bytes:
        """Return the row ids of events, 16 bytes each."""
        return row_digests(self.entity_type, self.spec.type, event_ids, self.group_keys)

    def write(self, lot: Lot, digests: bytes, values: NDArray[np.float32], **said: object) -> Laid:
        """Return the row of each event of a lot, of which there is one; `values` [n, features], NaN where missing.

        `said`: fields of the row that are the same in all of these. A row's partition is its record's, which is at
        home: where the topic of rows has as many (`aligned`).
        """
        at, offsets, ids = lot.records.at, lot.records.offsets, even(digests.hex().encode(), len(lot))
        columns = [
            ids,
            lines(_LINES(lot.event_ids)),
            lines(_LINES(lot.entity_ids)),
            items(_ENCODE(list(chain(lot.times_us.tolist(), lot.appends_us.tolist(), offsets.tolist())))).rows(3),
            *self._numbers(values),
            *([lines(_LINES(lot.events))] if self.spine else ()),
        ]
        told = headers(_CONSTANT, (("ce_id", ids), ("ce_time", times(lot.times_us))))
        rows = laid(self._between(at, said), *columns)
        keys = joined(list(map(str.encode, lot.entity_ids)))
        return Laid(FeatureRow.topic, at.partition if self.aligned else None, Columns(keys, rows, told), offsets)

    def _numbers(self, values: NDArray[np.float32]) -> Iterator[Texts]:
        """Yield the texts of all features."""
        if not self._whole:
            return
        columns: list[list[Any]] = values.T.tolist()
        for i, whole in enumerate(self._whole):
            column = values[:, i]
            if whole:
                plain = bool(np.all(np.abs(column) < INTEGERS_MAX))
                columns[i] = column.astype(np.int64).tolist() if plain else list(map(_whole, columns[i]))
        yield items(_ENCODE(list(chain.from_iterable(columns)))).rows(len(columns))

    def _between(self, at: TopicPartition, said: dict[str, object]) -> list[bytes]:
        """Return what stands before, between and behind the columns of `write`."""
        said |= {"event_type": self.spec.type, "entity_type": self.entity_type, "spine": self.spine}
        source = _ENCODE({"topic": at.topic, "partition": at.partition})[:-1] + b',"offset":'
        parts: dict[str, Pieces] = {
            "row_id": [b'"', None, b'"'],
            "event_id": [None],
            "entity_id": [None],
            "event_time_us": [None],
            "append_time_us": [None],
            "source": [source, None, b"}"],
            "groups": self._groups,
            "fields": [None if self.spine else b"null"],
        }
        between = [b'{"type":' + _ENCODE(FeatureRow.__struct_config__.tag)]
        for fact in _FACTS:
            between[-1] += b',"%b":' % fact.name.encode()
            for piece in parts.get(fact.name) or [_ENCODE(said.get(fact.name, fact.default))]:
                if piece is None:
                    between.append(b"")
                else:
                    between[-1] += piece
        between[-1] += b"}"
        return between


def compile_rows(plan: EntityPlan, spec: EventSpec, *, spine: bool, aligned: bool) -> RowWriter:
    """Return the writer of the rows that an event class gives to a plan's entities."""
    groups = {
        group.spec.key: _object({feature.name: [None] for feature in group.spec.features}) for group in plan.groups
    }
    whole = tuple(feature.dtype == "int" for group in plan.groups for feature in group.spec.features)
    return RowWriter(spec, plan.entity_type, plan.group_keys, spine, aligned, _object(groups), whole)


def _object(members: dict[str, Pieces]) -> Pieces:
    """Return the pieces of a JSON object."""
    found: Pieces = []
    for name, pieces in members.items():
        found += [b"," if found else b"{", _ENCODE(name), b":", *pieces]
    return [*found, b"}"] if found else [b"{}"]


def _whole(number: float) -> int | None:
    return None if number != number else int(number)
