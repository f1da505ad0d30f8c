"""Feature rows by the thousand: the bytes that the codec gives a FeatureRow, without making one.

The codec stays the definition of a row. What differs from row to row is written column by column, each by one call of a
library, and stays in pieces between what is the same in all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace.spec import EventSpec
from millrace_common.codec import constant_headers
from millrace_common.ids import row_id_around
from millrace_common.messages import FeatureRow
from millrace_common.records import TopicPartition
from millrace_engine.digests import blake2b_128
from millrace_engine.entity import EntityPlan
from millrace_engine.numerals import floats, integers
from millrace_engine.texts import Texts, encoded, even, joined, strings, times, woven
from millrace_features.core.lots import Lot
from millrace_features.core.sheaves import Columns, Laid, told_between

_ENCODE = msgspec.json.Encoder().encode
_FACTS = msgspec.structs.fields(FeatureRow)
_TOLD = told_between(constant_headers(FeatureRow), (("ce_id", 32), ("ce_time", 27)))
Pieces = list[bytes | None]
"""A part of a row's JSON; None: what differs from row to row."""


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the rows of one event class and entity type; `spine` rows carry the event's fields."""

    spec: EventSpec
    entity_type: str
    spine: bool
    aligned: bool
    _groups: Pieces
    _whole: tuple[int, ...]
    """The places of features that are whole numbers."""
    _identified: Texts
    """What a row id is the digest of, but for the event id and its length."""
    _forms: dict[object, Texts] = field(default_factory=dict, init=False)

    def ids(self, event_ids: Sequence[str]) -> bytes:
        """Return the row ids of events, 16 bytes each."""
        texts = encoded(event_ids)
        lengths = even(texts.sizes.astype(">u4").view(np.uint8).reshape(-1, 4))
        return blake2b_128(woven(self._identified, lengths, texts)).tobytes()

    def write(self, lot: Lot, digests: bytes, values: NDArray[np.float32], **said: object) -> Laid:
        """Return the row of each event of a lot, of which there is one; `values` [n, features], NaN where missing.

        `said`: fields of the row that are the same in all of these. A row's partition is its record's, which is at
        home: where the topic of rows has as many (`aligned`).
        """
        at, offsets = lot.records.at, lot.records.offsets
        ids = even(np.frombuffer(digests.hex().encode(), np.uint8).reshape(len(lot), -1))
        keys, entity_ids = strings(lot.entity_ids)
        _, event_ids = strings(lot.event_ids)
        columns = [
            ids,
            event_ids,
            entity_ids,
            integers(np.stack((lot.times_us, lot.appends_us, offsets))),
            floats(values, self._whole),
            *([lot.fields.json()] if self.spine else ()),
        ]
        rows = Columns(
            keys,
            woven(self._form(at, said), *columns),
            woven(_TOLD, ids, even(times(lot.times_us))),
        )
        return Laid(FeatureRow.topic, at.partition if self.aligned else None, rows, offsets)

    def _form(self, at: TopicPartition, said: dict[str, object]) -> Texts:
        """Return what stands before, between and behind the columns of `write`."""
        key = at, *sorted(said.items())
        if key not in self._forms:
            self._forms[key] = joined(self._between(at, said))
        return self._forms[key]

    def _between(self, at: TopicPartition, said: dict[str, object]) -> list[bytes]:
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
    features = [feature for group in plan.groups for feature in group.spec.features]
    whole = tuple(place for place, feature in enumerate(features) if feature.dtype == "int")
    before, behind = row_id_around(plan.entity_type, spec.type, plan.group_keys)
    identified = joined([before, b"", behind])
    return RowWriter(spec, plan.entity_type, spine, aligned, _object(groups), whole, identified)


def _object(members: dict[str, Pieces]) -> Pieces:
    """Return the pieces of a JSON object."""
    found: Pieces = []
    for name, pieces in members.items():
        found += [b"," if found else b"{", _ENCODE(name), b":", *pieces]
    return [*found, b"}"] if found else [b"{}"]
