"""The page on messages, and their JSON Schemas."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from millrace_common.messages import KINDS, Message


def name_of(kind: type[Message]) -> str:
    """Return the name of a kind's message type, `millrace.feature_row.v1`."""
    return str(kind.__struct_config__.tag)


def schemas() -> Mapping[str, Callable[[], str]]:
    """Return a generator of each kind's JSON Schema (2020-12), by message type."""
    return {name_of(kind): partial(_schema, kind) for kind in KINDS}


def _schema(kind: type[Message]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def page() -> str:
    """Return the page of message kinds as Markdown."""
    parts = "\n".join(_part(kind) for kind in KINDS)
    return f"""# Messages

Every message is a CloudEvents 1.0 event in Kafka binary mode: attributes as `ce_` headers, the value as JSON. The
value stands for itself: the field `type` names its kind, the id and the time are the fields named below. `?` marks a
field that may be null; missing is null, never NaN. Times are int64 microseconds since the epoch, UTC. Within `v1` only
optional fields with a default are added; a reader ignores fields that it does not know. JSON Schemas lie in `schemas/`,
one AsyncAPI document in `asyncapi.json`.

{parts}"""


def _part(kind: type[Message]) -> str:
    fields = "\n".join(
        f"| `{field.name}` | `{_type(field.type)}` | {_default(field)} |" for field in msgspec.structs.fields(kind)
    )
    return f"""## {name_of(kind)}

On `{kind.topic}`; id `{kind.id_field}`, time `{kind.time_field}`. {inspect.getdoc(kind)}

| field | type | default |
|---|---|---|
{fields}
"""


def _type(annotation: object) -> str:
    text = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    for long, short in (("typing.Literal", ""), ("typing.", ""), ("NoneType", "null"), ("None", "null")):
        text = text.replace(long, short)
    for module in ("millrace_common.messages._base.", *(f"millrace_common.messages.{m}." for m in _MODULES)):
        text = text.replace(module, "")
    return text.replace(" | null", "?").replace("|", "\\|")


_MODULES = tuple(sorted({kind.__module__.rsplit(".", 1)[1] for kind in KINDS}))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f"`{'null' if field.default is None else field.default}`"
    return "empty" if field.default_factory is not msgspec.NODEFAULT else "required"
