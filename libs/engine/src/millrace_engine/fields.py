"""The fields of many events of one class, as columns and as JSON: no event stays an object.

Events are opened some hundred at a time. What their objects take lies in the processor's cache then, and is given back
before the next hundreds. Of five thousand at once it does not, and to decode an event takes more than twice as long.

They are decoded as the lines of one text, which takes two thirds of what one after the other does. None can be taken
for a part of another: where each begins with a brace and ends with one, no event reaches past its line (a text has no
newline in it, and what follows a closing brace inside an object or a list is no opening one), and so each line holds at
least one event; where there are as many events as lines, it holds one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from millrace.keys import key_text
from millrace.spec import Scalar
from millrace_engine.events import Contract, column
from millrace_engine.jit import bare
from millrace_engine.texts import NEWLINE, Bytes, Texts, joined, lines, put

PIECE = 500
_LINES = msgspec.json.Encoder().encode_lines
_OPENING, _CLOSING = b"{}"


@dataclass(slots=True)
class Fields(Mapping[str, Sequence[Scalar]]):
    """Fields of events as they are stored; what was not taken when they were opened is made when it is asked for."""

    contract: Contract
    sent: Texts
    """The events as they were sent. All keep the contract."""
    _columns: dict[str, list[Any]]
    _json: Texts | None

    @classmethod
    def opened(
        cls,
        contract: Contract,
        sent: Texts,
        *,
        types: Set[object] | None,
        take: Sequence[str],
        as_json: bool,
    ) -> "Fields":
        """Return events, of which `take` are the columns that will be asked for, and the JSON where `as_json`.

        Raises one of `events.UNDECODABLE` where one does not keep the contract, or says to be of none of `types`.
        """
        columns, written = defaultdict[str, list[Any]](list), list[bytes]()
        for events in _decoded(contract, sent):
            if types is not None and not types >= set(column(events, "type")):
                raise msgspec.ValidationError(f"not every event is a {contract.spec.type}")
            contract.store(events)
            for name in take:
                columns[name] += column(events, name)
            if as_json:
                written.append(_LINES(events))
            del events  # before the next ones are made
        return cls(contract, sent, columns, lines(b"".join(written)) if as_json else None)

    def json(self) -> Texts:
        """Return each event as the object of its fields, in the contract's order."""
        if self._json is None:
            self._json = lines(b"".join(map(_LINES, self._stored())))
        return self._json

    def texts(self, names: Sequence[str]) -> list[str]:
        """Return what these fields name, as text."""
        if len(names) > 1:
            return list(map(key_text, zip(*(self[name] for name in names), strict=True)))
        (name,) = names
        _, kind, _ = self.contract.shape.fields[name]
        return self[name] if kind is str else list(map(str, self[name]))

    def event(self, i: int) -> msgspec.Struct:
        """Return one event as it is stored."""
        event = self.contract.decode(self.sent.text(i))
        self.contract.store([event])
        return event

    def chosen(self, indices: Sequence[int]) -> "Fields":
        """Return the events of these indices only."""
        columns = {name: [values[i] for i in indices] for name, values in self._columns.items()}
        json = None if self._json is None else joined(list(map(self._json.text, indices)))
        return Fields(self.contract, self.sent.part(indices), columns, json)

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = [value for events in self._stored() for value in column(events, name)]
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return any(one.name == name for one in self.contract.spec.fields)

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in self.contract.spec.fields)

    def __len__(self) -> int:
        return len(self.contract.spec.fields)

    def _stored(self) -> Iterator[list[msgspec.Struct]]:
        for events in _decoded(self.contract, self.sent):
            self.contract.store(events)
            yield events


def _decoded(contract: Contract, sent: Texts) -> Iterator[list[msgspec.Struct]]:
    for first in range(0, len(sent.sizes), PIECE):
        yield _together(contract.decoder, sent.part(slice(first, first + PIECE)))


def _together(decoder: msgspec.json.Decoder[msgspec.Struct], sent: Texts) -> list[msgspec.Struct]:
    text = np.empty(int(sent.sizes.sum()) + len(sent.sizes), np.uint8)
    events = decoder.decode_lines(text.data) if _lay(sent, text) else []
    if len(events) == len(sent.sizes):
        return events
    return [decoder.decode(sent.text(i)) for i in range(len(sent.sizes))]


@bare
def _lay(sent: Texts, out: Bytes) -> bool:
    """Lay events out, each on a line; say whether each begins with a brace and ends with one."""
    at, are_braced = 0, True
    for i in range(len(sent.sizes)):
        end = put(out, at, sent, sent.firsts[i], sent.sizes[i])
        are_braced &= end - at > 1 and out[at] == _OPENING and out[end - 1] == _CLOSING
        out[end] = NEWLINE
        at = end + 1
    return are_braced
