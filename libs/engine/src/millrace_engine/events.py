"""The contract check: bytes of a producer in, one typed event out, or the reason why not."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from typing import Any

import msgspec

from millrace.keys import key_text
from millrace.refusals import Parked, Refused
from millrace.spec import Deployment, EventSpec, FieldSpec, Scalar
from millrace_engine.contracts import Shape, diagnose, document, microseconds, printable, shape_of

Convert = Callable[[Sequence[Any]], Sequence[Scalar]]
"""Makes of a column as it was sent what is stored."""


class _Peek(msgspec.Struct):
    type: str | msgspec.UnsetType = msgspec.UNSET


PEEK = msgspec.json.Decoder(_Peek)
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises at bytes that it does not take."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that keeps its contract. Times are microseconds UTC, personal fields already replaced by their hash."""

    spec: EventSpec
    id: str | None
    """The declared field, else `ce_id`; None: where it first lay names it, or what it refers to."""
    entity_id: str
    """The key as text; of an event that refers to another, that event's id."""
    time_us: int
    fields: dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Contract:
    """One event class, compiled. `replaced`: the fields whose value is not stored as it was sent; `times`: of these."""

    spec: EventSpec
    shape: Shape
    decoder: msgspec.json.Decoder[msgspec.Struct]
    replaced: tuple[tuple[str, Convert], ...]
    times: tuple[str, ...]

    def decode(self, value: bytes) -> msgspec.Struct:
        """Return the event in `value` as it was sent; raise Refused naming the field."""
        try:
            return self.opened(value)
        except UNDECODABLE as error:
            raise diagnose(value, self.shape, fallback=str(error)) from error

    def opened(self, value: bytes) -> msgspec.Struct:
        """Return the event in `value` as it was sent; raise one of UNDECODABLE where it does not keep the contract."""
        event = self.decoder.decode(value)
        for name in self.times:
            microseconds(getattr(event, name))
        return event

    def store(self, events: Sequence[msgspec.Struct]) -> None:
        """Make of decoded events what is stored of them, in place: times in microseconds, personal fields hashed.

        Written as JSON, each is then the object of its fields in the contract's order. Raises msgspec.ValidationError
        where a time has no date: `opened` and `decode` do not let it through.
        """
        for name, convert in self.replaced:
            _set(events, name, convert(column(events, name)))
        _set(events, "type", repeat(msgspec.UNSET))

    def event(self, value: bytes, ce_id: str | None) -> Event:
        """Return the event in `value`; raise Refused naming the field."""
        stored = self.decode(value)
        self.store([stored])
        fields: dict[str, Scalar] = msgspec.structs.asdict(stored)
        fields.pop("type")
        return self._named(fields, ce_id)

    def _named(self, fields: dict[str, Scalar], ce_id: str | None) -> Event:
        spec = self.spec
        identity = ce_id or None if spec.id_field is None else str(fields[spec.id_field])
        entity = key_text(tuple(fields[name] for name in self.key))  # type: ignore[misc]  # the loader lets text and integers name an entity
        time = fields[spec.time_field]
        assert isinstance(time, int)
        return Event(spec, identity, entity, time, fields)

    @property
    def key(self) -> tuple[str, ...]:
        """Return the fields that name the entity, or the event referred to."""
        return self.spec.entity_fields if self.spec.refers_field is None else (self.spec.refers_field,)


@dataclass(frozen=True, slots=True)
class Events:
    """The event classes of a deployment, compiled."""

    contracts: Mapping[str, Contract]

    def check(
        self,
        value: bytes,
        *,
        ce_type: str | None = None,
        ce_id: str | None = None,
        ce_dataschema: str | None = None,
        ce_time: str | None = None,
    ) -> Event:
        """Return the event in `value`.

        The type is `ce_type`, else the JSON field `type`, else the only event class there is. `ce_time` is for readers
        that do not open the value: the contract's own time field counts. Raises Refused with one of the reasons
        `empty-body`, `not-json`, `not-object`, `too-deep`, `unknown-type`, `bad-dataschema`, `missing-field`,
        `unknown-field`, `wrong-type`, `out-of-range`; Parked where `ce_dataschema` states a newer version.
        """
        return self.contract(value, ce_type=ce_type, ce_dataschema=ce_dataschema).event(value, ce_id)

    def contract(self, value: bytes, *, ce_type: str | None, ce_dataschema: str | None) -> Contract:
        """Return the event class of `value`. Raises Refused and Parked as `check` does."""
        contract = self._stated(value, ce_type)
        if ce_dataschema:
            refuse_newer(contract.spec, ce_dataschema)
        return contract

    def _stated(self, value: bytes, ce_type: str | None) -> Contract:
        stated = ce_type or stated_type(value)
        if stated is None and len(self.contracts) == 1:
            return next(iter(self.contracts.values()))
        contract = self.contracts.get(stated) if stated else None
        if contract is None:
            document(value)
            found = f"`{printable(stated)}` is not declared" if stated else "no `ce_type` header and no field `type`"
            raise Refused("unknown-type", f"{found}; known: {', '.join(sorted(self.contracts))}", field="type")
        return contract


def compile_events(deployment: Deployment) -> Events:
    """Return the check of a deployment's events."""
    return Events({spec.type: _contract(spec) for spec in deployment.events.values()})


def column(events: Sequence[msgspec.Struct], name: str) -> list[Any]:
    """Return one field of events."""
    return list(map(attrgetter(name), events))


def stated_type(value: bytes) -> str | None:
    """Return the type that the JSON of `value` states, None where it states none; raise Refused if it is no object."""
    try:
        stated = PEEK.decode(value).type
    except UNDECODABLE as error:
        return _type_in(document(value), why=str(error))
    return None if stated is msgspec.UNSET else str(stated)


def _type_in(found: Mapping[str, object], *, why: str) -> str | None:
    """Return the type that a document states which the fast look refused: the fault may lie in another field."""
    stated = found.get("type")
    if "type" in found and not isinstance(stated, str):
        raise Refused("wrong-type", why, field="type")
    return stated if isinstance(stated, str) else None


def refuse_newer(spec: EventSpec, dataschema: str) -> None:
    """Raise Parked where `dataschema` (`transaction/2`, or a URI that ends so) is newer than the deployed version."""
    *_, name, version = ("", *dataschema.rsplit("/", 2))
    if name != spec.type or not (version.isascii() and version.isdecimal()):
        raise Refused(
            "bad-dataschema", f"`{printable(dataschema)}` is not `{spec.type}/<version>`", field="ce_dataschema"
        )
    if int(version[:9]) > spec.version:
        raise Parked(f"{spec.type}/{version[:9]} is newer than the deployed {spec.type}/{spec.version}")


def personal_hash(value: Scalar | datetime) -> str:
    """Return what stands for a personal field: BLAKE2b-128 of its UTF-8 text, 32 hex characters.

    It has no key: equal values stay equal in every deployment, and a value out of a small set can be guessed.
    """
    return hashlib.blake2b(str(value).encode(), digest_size=16).hexdigest()


def _set(events: Sequence[msgspec.Struct], name: str, values: Iterable[object]) -> None:
    deque(map(setattr, events, repeat(name), values), maxlen=0)


def _contract(spec: EventSpec) -> Contract:
    shape = shape_of(spec)
    replaced = tuple((one.name, convert) for one in spec.fields for convert in _conversion(one))
    times = tuple(one.name for one in spec.fields if one.dtype == "datetime")
    return Contract(spec, shape, msgspec.json.Decoder(shape.struct), replaced, times)


def _conversion(field: FieldSpec) -> tuple[Convert, ...]:
    if field.dtype == "datetime":
        return (_stored_times,)
    return (_stored_hashes,) if field.pii == "hash" else ()


def _stored_times(values: Sequence[Any]) -> Sequence[Scalar]:
    if set(map(type, values)) == {int}:
        return [value * 1_000 for value in values]
    return [None if value is None else microseconds(value) for value in values]


def _stored_hashes(values: Sequence[Any]) -> Sequence[Scalar]:
    return [None if value is None else personal_hash(value) for value in values]
