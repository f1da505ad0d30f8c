"""The monitor's memory as it is stored: documents, one entry per event that waits, cursors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from millrace_common.ids import sha256
from millrace_common.messages import Position, Promotion
from millrace_common.records import TopicPartition
from millrace_common.registry import Effective, Registry
from millrace_monitor.core.intake import Gathered
from millrace_monitor.core.join import Entry
from millrace_monitor.core.judge import Judge

_ENCODER = msgspec.msgpack.Encoder()
_GATHERED = msgspec.msgpack.Decoder(Gathered)
_JUDGE = msgspec.msgpack.Decoder(Judge)
_ENTRY = msgspec.msgpack.Decoder(Entry)


class Head(msgspec.Struct, frozen=True):
    """The newest promotion that counts, as it was read: what the next one must hang on."""

    value: bytes
    position: Position


_HEAD = msgspec.msgpack.Decoder(Head)


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything that is stored. Entries by model and event id."""

    documents: Mapping[str, bytes] = field(default_factory=dict)
    entries: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    cursors: Mapping[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one step changes, all of it or nothing. An entry of None is forgotten."""

    documents: Mapping[str, bytes]
    entries: Mapping[str, Mapping[str, bytes | None]]
    at: TopicPartition | None = None
    end: int = 0


def encode(document: Gathered | Judge | Entry | Head) -> bytes:
    """Return a document's bytes."""
    return _ENCODER.encode(document)


def gathered_of(data: bytes) -> Gathered:
    """Return what a model had gathered."""
    return _GATHERED.decode(data)


def judge_of(data: bytes) -> Judge:
    """Return a model's judge."""
    return _JUDGE.decode(data)


def entry_of(data: bytes) -> Entry:
    """Return what was known of an event."""
    return _ENTRY.decode(data)


def registry_of(saved: Saved) -> Registry:
    """Return the registry as far as promotions were read: of each model its head."""
    registry = Registry()
    for name, data in saved.documents.items():
        if name.startswith("head:"):
            head = _HEAD.decode(data)
            promotion = msgspec.json.decode(head.value, type=Promotion)
            registry.chains[promotion.model] = [Effective(promotion, sha256(head.value), head.position)]
    return registry
