"""What a record of raw-data says, read the slow, obvious way: an event, something dead, or something newer."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from millrace.spec import Deployment, EventSpec, FieldSpec, Scalar
from millrace_common.ids import event_id_at, label_event_id
from millrace_common.records import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "datetime": (int, str)}


class Dead(Exception):
    """The record breaks its contract."""


class Newer(Exception):
    """The record states a newer version than is deployed."""


@dataclass(frozen=True)
class Origin:
    """Where a copy was made from."""

    partition: int
    offset: int
    append_us: int


@dataclass(frozen=True)
class Read:
    """An event as a record states it. `append_us` is when it first came."""

    record: Record
    spec: EventSpec
    event_id: str
    time_us: int
    fields: dict[str, Scalar]
    append_us: int
    origin: Origin | None

    @property
    def key(self) -> str:
        """Return the id of the entity, or of the event referred to."""
        names = (self.spec.refers_field,) if self.spec.refers_field else self.spec.entity_fields
        return self.named(tuple(name for name in names if name))

    def named(self, by: tuple[str, ...]) -> str:
        """Return the id of the entity that fields name."""
        values = [self.fields[name] for name in by]
        return str(values[0]) if len(values) == 1 else json.dumps(values, separators=(",", ":"))


def read(record: Record, deployment: Deployment) -> Read:
    """Return the event in a record. Raises Dead or Newer."""
    try:
        value = json.loads(record.value or b"")
    except ValueError as error:
        raise Dead("no JSON") from error
    if not isinstance(value, dict):
        raise Dead("no object")
    spec = deployment.events.get(record.header("ce_type") or str(value.get("type", "")))
    if spec is None:
        raise Dead("unknown type")
    stated = record.header("ce_dataschema")
    if stated and int(stated.rsplit("/", 1)[1]) > spec.version:
        raise Newer(stated)
    fields = _fields(spec, {name: given for name, given in value.items() if name != "type"})
    origin = _origin(record)
    append_us = origin.append_us if origin else record.append_time_us
    time_us = fields[spec.time_field]
    assert isinstance(time_us, int)
    if time_us - append_us > spec.max_future_us:
        raise Dead("from the future")
    return Read(record, spec, _id(record, spec, fields), time_us, fields, append_us, origin)


def _fields(spec: EventSpec, value: dict[str, Scalar]) -> dict[str, Scalar]:
    known = {field.name: field for field in spec.fields}
    if not value.keys() <= known.keys():
        raise Dead("a field that is unknown")
    return {name: _field(field, value) for name, field in known.items()}


def _field(field: FieldSpec, value: dict[str, Scalar]) -> Scalar:
    found = value.get(field.name)
    if found is None:
        if field.optional:
            return None
        raise Dead(f"no {field.name}")
    if not isinstance(found, KINDS[field.dtype]) or (isinstance(found, bool) and field.dtype != "bool"):
        raise Dead(f"{field.name} of another kind")
    if isinstance(found, int | float) and not _within(field, found):
        raise Dead(f"{field.name} out of its range")
    if field.dtype == "datetime":
        return found * 1_000 if isinstance(found, int) else _moment(str(found))
    if field.pii == "hash":
        return hashlib.blake2b(str(found).encode(), digest_size=16).hexdigest()
    return float(found) if field.dtype == "float" else found


def _within(field: FieldSpec, found: float) -> bool:
    limits = (
        field.ge is None or found >= field.ge,
        field.gt is None or found > field.gt,
        field.le is None or found <= field.le,
        field.lt is None or found < field.lt,
    )
    return all(limits)


def _moment(text: str) -> int:
    try:
        return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError) as error:
        raise Dead(f"{text} is no time") from error


def _origin(record: Record) -> Origin | None:
    stated = record.header("millrace-moved")
    if stated is None:
        return None
    partition, offset, append_us = stated.split("/")[1:]
    return Origin(int(partition), int(offset), int(append_us))


def _id(record: Record, spec: EventSpec, fields: dict[str, Scalar]) -> str:
    kept = record.header("millrace-event-id")
    if kept:
        return kept
    if spec.id_field:
        return str(fields[spec.id_field])
    if record.header("ce_id"):
        return str(record.header("ce_id"))
    if spec.refers_field:
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return label_event_id(spec.type, str(fields[spec.refers_field]), canonical)
    return event_id_at(record.topic, record.partition, record.offset)
