"""What the records of a batch are: events of this partition, ones that must move, or none.

Every record goes the same way. For those that are plainly ordinary (of a class that their headers or their values name,
and without word of where they were before) the first steps are taken together; whatever is odd is looked at closely.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from msgspec import UNSET

from millrace_common.columns import Records, sizes_of
from millrace_common.errors import Parked, Refused
from millrace_common.records import Batch, Headers, Record
from millrace_common.topics import EVENT_BYTES_MAX
from millrace_engine.events import PEEK, UNDECODABLE, Contract, Events
from millrace_features.core.feeds import Feed
from millrace_features.core.lots import Found, Lot
from millrace_features.core.origin import CORRECTION, EVENT_ID, MOVED, Origin, correction_of, origin_of

RECORD_BYTES_MAX = EVENT_BYTES_MAX + (64 << 10)
"""An event, its key and its headers: those of a move or a copy repeat its ids."""
UNBORN = "unborn-origin"
_PLAIN_KEY_BYTES_MAX = 1_024
_PLAIN_HEADERS_BYTES_MAX = 32 << 10
"""An event of full size with such a key and such headers is within RECORD_BYTES_MAX."""
_ODD = frozenset({MOVED, CORRECTION})
_HEADER_NAME, _HEADER_VALUE = itemgetter(0), itemgetter(1)
Name = tuple[bytes | None, bytes | None]
"""What says of which class an event is: the headers `ce_type` and `ce_dataschema`, or the type in its value alone."""


class Opened(NamedTuple):
    """The contract that an event keeps, and what is odd about it."""

    contract: Contract
    origin: Origin | None = None
    correction: str | None = None


@dataclass(slots=True)
class Admitted:
    """What a batch holds, in several lots of a class at times. `lots`: events of this partition; `moving`: of others.

    `refused`, by place: records that are no event of any partition. Reasons are those of the contract check, `future`,
    `too-large`, `malformed-move`, `unborn-origin`, `malformed-correction`, `not-a-copy`, `misplaced`; or Parked.
    """

    lots: list[Lot] = field(default_factory=list)
    moving: list[tuple[Lot, Mapping[int, int]]] = field(default_factory=list)
    """With the home of each, by index."""
    refused: dict[int, Refused | Parked] = field(default_factory=dict)

    @property
    def has_unborn(self) -> bool:
        """Say whether a copy claims an origin past what is known of raw-data."""
        return any(isinstance(why, Refused) and why.reason == UNBORN for why in self.refused.values())


@dataclass(frozen=True, slots=True)
class Intake:
    """The check of one topic's records. `partitions` is how many raw-data has.

    Without `at_a_glance` every record is looked at closely, and nothing else differs.
    """

    events: Events
    feed: Feed
    partitions: int
    at_a_glance: bool = True
    _named: Mapping[Name, Contract] = field(init=False)
    _only: Contract | None = field(init=False)

    def __post_init__(self) -> None:
        contracts = self.events.contracts.values() if self.at_a_glance and self.feed.by is None else ()
        named: dict[Name, Contract] = {}
        for contract in contracts:
            type_ = contract.spec.type.encode()
            named[type_, None] = named[type_, b"%b/%d" % (type_, contract.spec.version)] = contract
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_only", next(iter(contracts)) if len(contracts) == 1 else None)

    def admit(self, batch: Batch, known: Mapping[str, Mapping[str, int]], ends: Sequence[int]) -> Admitted:
        """Return the events in a batch.

        `known[entity type]` holds the slots of entities that are in memory, and so at home here; `ends` the ends of
        raw-data's partitions.
        """
        admitted = Admitted()
        records = Records.of(batch.at, batch.records)
        lots = self._plain(records)
        if sum(map(len, lots)) < len(records):
            rest = sorted(set(range(len(records))).difference(*(lot.places for lot in lots)))
            lots += self._sorted(rest, records, ends, admitted)
        for lot in lots:
            lot.locate(known[lot.entity_type])
            _part(lot, lot.future(), lot.homes(self.partitions, batch.at.partition), admitted)
        return admitted

    def _sorted(self, places: Sequence[int], records: Records, ends: Sequence[int], admitted: Admitted) -> list[Lot]:
        """Return the events in the records of these places by class; note what is refused."""
        by_class: dict[str, Found] = {}
        for place, record in zip(places, records.chosen(places), strict=True):
            try:
                opened = self._glance(record) or self._open(record, ends)
            except (Refused, Parked) as refusal:
                admitted.refused[place] = refusal
                continue
            found = by_class.setdefault(opened.contract.spec.type, Found(opened.contract))
            found.places.append(place)
            if opened.origin is not None:
                found.origins[place] = opened.origin
            if opened.correction is not None:
                found.corrections[place] = opened.correction
        return [Lot.of(self.feed, found, records) for found in by_class.values()]

    def _plain(self, records: Records) -> list[Lot]:
        """Return the events that are plainly of a class, class by class; what is in no lot takes another look."""
        sizes = sizes_of(records.values)
        if not self._named or sizes.min() < 0 or sizes.max() > EVENT_BYTES_MAX:
            return []
        if sizes_of(records.keys).max() > _PLAIN_KEY_BYTES_MAX:
            return []
        if any(records.headers):
            return self._lots(records, self._grouped(_stated(records.headers)))
        everywhere = list(range(len(records)))
        if self._only is not None:
            return self._lots(records, [Found(self._only, everywhere)])
        first = self._named.get(_told(records.values[0]))
        whole = [] if first is None else self._lots(records, [Found(first, everywhere)], must_say=True)
        return whole or self._lots(records, self._grouped(list(map(_told, records.values))))

    def _grouped(self, names: Sequence[Name]) -> Iterator[Found]:
        """Yield the classes that are named, each with the places of the name."""
        for name in filter(self._named.__contains__, dict.fromkeys(names)):
            yield Found(self._named[name], [i for i, one in enumerate(names) if one == name])

    def _lots(self, records: Records, by_class: Iterable[Found], *, must_say: bool = False) -> list[Lot]:
        """Return the lots of classes in which all values keep the contract; they `must_say` that they are of it."""
        lots = []
        for found in by_class:
            type_ = found.contract.spec.type
            try:
                lots.append(Lot.of(self.feed, found, records, {type_} if must_say else {type_, UNSET}))
            except UNDECODABLE:
                continue
        return lots

    def _glance(self, record: Record) -> Opened | None:
        """Return the contract of a record that is plainly ordinary; None where that takes a closer look."""
        contract = self._contract(record)
        if contract is None:
            return None
        try:
            event = contract.opened(record.value or b"")
        except UNDECODABLE:
            return None
        type_ = event.type  # type: ignore[attr-defined]  # every event class has it
        return Opened(contract) if type_ is UNSET or type_ == contract.spec.type else None

    def _contract(self, record: Record) -> Contract | None:
        value, key, headers = record.value, record.key, record.headers
        if value is None or len(value) > EVENT_BYTES_MAX or (key is not None and len(key) > _PLAIN_KEY_BYTES_MAX):
            return None
        if not headers:
            return self._only or self._named.get(_told(value))
        stated = dict(headers)
        if not _ODD.isdisjoint(stated) or len(stated) != len(headers):
            return None
        if len("".join(stated)) + len(b"".join(stated.values())) > _PLAIN_HEADERS_BYTES_MAX:
            return None
        return self._named.get((stated.get("ce_type"), stated.get("ce_dataschema")))

    def _open(self, record: Record, ends: Sequence[int]) -> Opened:
        """Look at a record closely. Raises Refused and Parked."""
        _refuse_large(record)
        origin = origin_of(record)
        if origin is not None:
            _refuse_unborn(origin, ends)
        elif self.feed.by is not None:
            raise Refused("not-a-copy", f"{record.topic} is written by features alone")
        value = record.value or b""
        contract = self.events.contract(
            value, ce_type=record.header("ce_type"), ce_dataschema=record.header("ce_dataschema")
        )
        if not self.feed.takes(contract.spec):
            raise Refused("not-a-copy", f"no `{contract.spec.type}` is copied to {record.topic}")
        correction = correction_of(record)
        if correction is not None:
            _refuse_nameless(record, contract)
        contract.decode(value)
        return Opened(contract, origin, correction)


def _stated(headers: Sequence[Headers]) -> Sequence[Name]:
    """Return the class that the headers of each record name; none at all where any of them are odd."""
    every, stated = list(chain.from_iterable(headers)), list(map(dict, headers))
    names = set(map(_HEADER_NAME, every))
    longest = max(map(len, names)) + max(map(len, map(_HEADER_VALUE, every)))
    counts = list(map(len, headers))
    if not _ODD.isdisjoint(names) or max(counts) * longest > _PLAIN_HEADERS_BYTES_MAX:
        return ()
    if counts != list(map(len, stated)):
        return ()
    return [(one.get("ce_type"), one.get("ce_dataschema")) for one in stated]


def _told(value: bytes | None) -> Name:
    """Return the class that the JSON of an event names."""
    try:
        type_ = PEEK.decode(value or b"").type
    except UNDECODABLE:
        return None, None
    return None if type_ is UNSET else type_.encode(), None


def _part(lot: Lot, future: Mapping[int, Refused], homes: Mapping[int, int], admitted: Admitted) -> None:
    """Part a lot into what is at home, what must move, and what is refused. `homes` of those that are not at home."""
    if not future and not homes:
        admitted.lots.append(lot)
        return
    admitted.refused |= {lot.places[i]: refusal for i, refusal in future.items()}
    moving = []
    for i, home in homes.items():
        if i in future:
            continue
        if lot.places[i] in lot.origins:
            where = f"a copy of {lot.entity_type} {lot.entity_ids[i]} lies outside partition {home}"
            admitted.refused[lot.places[i]] = Refused("misplaced", where)
        else:
            moving.append(i)
    staying = [i for i in range(len(lot)) if i not in future and i not in homes]
    if staying:
        admitted.lots.append(lot.kept(staying))
    if moving:
        admitted.moving.append((lot.kept(moving), {k: homes[i] for k, i in enumerate(moving)}))


def _refuse_large(record: Record) -> None:
    """Refuse what the broker would not take back as a row or a copy: a send that never succeeds stops the partition."""
    if record.size_bytes > RECORD_BYTES_MAX:
        raise Refused("too-large", f"{record.size_bytes} bytes with key and headers; the limit is {RECORD_BYTES_MAX}")


def _refuse_nameless(record: Record, contract: Contract) -> None:
    """Refuse a correction that cannot say of which event."""
    if contract.spec.refers_to:
        why = f"a newer {contract.spec.type} corrects one"
    elif contract.spec.id_field or record.header("ce_id") or record.header(EVENT_ID):
        return
    else:
        why = f"a {contract.spec.type} has no field that names it, and the record no ce_id"
    raise Refused("malformed-correction", why, field=CORRECTION)


def _refuse_unborn(origin: Origin, ends: Sequence[int]) -> None:
    """Refuse an origin that raw-data does not have yet: as a mark it would silence the copies that are to come."""
    end = ends[origin.partition] if origin.partition < len(ends) else 0
    if origin.offset >= end:
        where = f"{origin.partition}/{origin.offset} lies past its end at {end}"
        raise Refused(UNBORN, f"the origin raw-data/{where}", field=MOVED)
