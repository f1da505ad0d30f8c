"""The AsyncAPI 3.0 document of the deployment's topics."""

import msgspec

from millrace_cli.reference.messages import name_of
from millrace_common.messages import KINDS
from millrace_common.topics import MAIN, Topic


def document() -> str:
    """Return the document as JSON."""
    content = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace",
            "version": "0.1.0",
            "description": "The topics that the six services talk through.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in MAIN},
        "operations": {f"write-{topic.name}": _operation(topic) for topic in MAIN},
        "components": _components(),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _channel(topic: Topic) -> dict[str, object]:
    kinds = [name_of(kind) for kind in KINDS if kind.topic == topic.name]
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in kinds},
        "bindings": {"kafka": {"topic": topic.name, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: Topic) -> dict[str, object]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": topic.writer}


def _components() -> dict[str, object]:
    _, definitions = msgspec.json.schema_components(KINDS, ref_template="#/components/schemas/{name}")
    messages = {
        name_of(kind): {
            "name": name_of(kind),
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
            "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        }
        for kind in KINDS
    }
    return {"messages": messages, "schemas": {**definitions, "CloudEventHeaders": _headers()}}


def _headers() -> dict[str, object]:
    required = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time")
    optional = ("ce_correlationid", "ce_causationid", "traceparent")
    return {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": "string"} for name in (*required, *optional)},
    }
