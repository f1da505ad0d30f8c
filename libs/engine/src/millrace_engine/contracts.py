"""An event class as a struct that decodes and checks at once, and the slow look at bytes that it refused."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from millrace.refusals import Refused
from millrace.spec import EventSpec, FieldSpec, Scalar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MILLISECONDS_MIN, MILLISECONDS_MAX = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999: every stored time has a date."""
DIGITS_MAX = 40

BARE: Mapping[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "datetime": datetime | int}


@dataclass(frozen=True, slots=True)
class Shape:
    """The contract of one event class as types: the struct, and each field's type with and without its limits."""

    struct: type[msgspec.Struct]
    fields: Mapping[str, tuple[Any, Any, bool]]
    """(type with limits, bare type, whether it may be absent) by name."""


@dataclass(frozen=True, slots=True)
class NoNumber:
    """What stands in a document where JSON allows nothing: NaN, Infinity, or more digits than any number has."""

    text: str


def shape_of(spec: EventSpec) -> Shape:
    """Return the struct of an event class. The field `type` is taken and ignored: it has named the class."""
    limited = {field.name: (_limited(field), _bare(field), field.optional) for field in spec.fields}
    members: list[tuple[str, Any, Any]] = [
        (name, kind, None if optional else msgspec.NODEFAULT) for name, (kind, _, optional) in limited.items()
    ]
    members.append(("type", str | msgspec.UnsetType, msgspec.UNSET))
    struct = msgspec.defstruct(spec.class_name, members, kw_only=True, forbid_unknown_fields=True, gc=False)
    return Shape(struct, limited)


def document(value: bytes) -> dict[str, object]:
    """Return the JSON object in `value`; raise Refused where there is none."""
    if not value.strip():
        raise Refused("empty-body", "there are no bytes")
    try:
        found = json.loads(value.decode(), parse_constant=NoNumber, parse_int=_integer, parse_float=_real)
    except UnicodeDecodeError as error:
        raise Refused("not-json", f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Refused("not-json", f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Refused("too-deep", "an event is a flat object") from error
    if not isinstance(found, dict):
        raise Refused("not-object", f"expected an object, got {_kind(found)}")
    return found


def diagnose(value: bytes, shape: Shape, *, fallback: str) -> Refused:
    """Return why the struct refused `value`, naming the first field in the contract's order that is wrong."""
    try:
        _walk(document(value), shape)
    except Refused as refused:
        return refused
    return Refused("not-json", fallback)


def _walk(found: dict[str, object], shape: Shape) -> None:
    for name, (limited, bare, optional) in shape.fields.items():
        if name in found:
            _check(name, found[name], limited, bare)
        elif not optional:
            raise Refused("missing-field", "the contract asks for it", field=name)
    unknown = next((name for name in found if name not in shape.fields and name != "type"), None)
    if unknown is not None:
        raise Refused(
            "unknown-field", f"not in the contract; it has {', '.join(shape.fields)}", field=printable(unknown)
        )
    if "type" in found and not isinstance(found["type"], str):
        raise Refused("wrong-type", f"expected `str`, got {_kind(found['type'])}", field="type")


def _check(name: str, value: object, limited: object, bare: object) -> None:
    if isinstance(value, NoNumber):
        raise Refused("wrong-type", f"{value.text} is no JSON number; leave the field out or send null", field=name)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("out-of-range", "the number is beyond a 64-bit float", field=name)
    if isinstance(value, str) and printable(value) != value:
        raise Refused("wrong-type", "the text holds half a surrogate pair", field=name)
    try:
        kept = msgspec.convert(value, limited)
        if isinstance(kept, datetime):
            microseconds(kept)
    except (msgspec.ValidationError, RecursionError) as error:
        _refuse(name, value, bare, str(error))


def _refuse(name: str, value: object, bare: object, why: str) -> NoReturn:
    try:
        msgspec.convert(value, bare)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refused("wrong-type", _lowered(why), field=name) from error
    if "timezone" in why:
        raise Refused("wrong-type", "expected a time with its zone, such as 2024-05-01T12:00:00Z", field=name)
    raise Refused("out-of-range", _lowered(why), field=name)


def _bare(field: FieldSpec) -> Any:  # a type built at run time has no static one
    return BARE[field.dtype] | None if field.optional else BARE[field.dtype]


def _limited(field: FieldSpec) -> Any:
    kind = _type_of(field)
    return kind | None if field.optional else kind


def _type_of(field: FieldSpec) -> Any:
    match field.dtype:
        case "int":
            return Annotated[int, Meta(ge=_least(field), le=_greatest(field))]
        case "float":
            return Annotated[float, Meta(**_limits(field))]
        case "datetime":
            milliseconds = Annotated[int, Meta(ge=MILLISECONDS_MIN, le=MILLISECONDS_MAX)]
            return Annotated[datetime, Meta(tz=True)] | milliseconds
        case "str":
            return str if field.role == "plain" else Annotated[str, Meta(min_length=1)]
    return bool


def _limits(field: FieldSpec) -> Any:
    limits = {"ge": field.ge, "gt": field.gt, "le": field.le, "lt": field.lt}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _least(field: FieldSpec) -> int:
    least = [INT64_MIN]
    least += [] if field.ge is None else [math.ceil(field.ge)]
    least += [] if field.gt is None else [math.floor(field.gt) + 1]
    return max(least)


def _greatest(field: FieldSpec) -> int:
    greatest = [INT64_MAX]
    greatest += [] if field.le is None else [math.floor(field.le)]
    greatest += [] if field.lt is None else [math.ceil(field.lt) - 1]
    return min(greatest)


def _integer(text: str) -> int | NoNumber:
    return int(text) if len(text) <= DIGITS_MAX else NoNumber("an integer beyond 64 bits")


def _real(text: str) -> float:
    return float(text)


def microseconds(value: Scalar | datetime) -> int:
    """Return a time as it is stored: RFC 3339 text was decoded, an integer is milliseconds since 1970.

    Raises msgspec.ValidationError where it has no date in UTC: a zone may carry a text out of the years 1 to 9999.

    >>> microseconds(1_700_000_000_123)
    1700000000123000
    """
    if not isinstance(value, datetime):
        return int(value or 0) * 1_000
    since = value - EPOCH
    seconds = since.days * 86_400 + since.seconds
    if not MILLISECONDS_MIN <= seconds * 1_000 <= MILLISECONDS_MAX:
        raise msgspec.ValidationError("expected a time in the years 1 to 9999, in UTC")
    return seconds * 1_000_000 + since.microseconds


def printable(text: str) -> str:
    """Return `text` as UTF-8 can carry it, at most 100 characters of it.

    >>> printable("caf\\udce9")
    'caf?'
    """
    return text.encode(errors="replace").decode()[:100]


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a bool", type(None): "null"}
    return names.get(type(value), "a number")
