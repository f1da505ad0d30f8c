"""What all messages share, and the small values they are made of."""

from typing import ClassVar

import msgspec

Scalar = str | int | float | bool | None
Offsets = dict[str, dict[str, tuple[int, int]]]
"""{topic: {partition: [first, end)}}; the partition is text, as JSON keys are."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message: immutable, unknown fields ignored."""


class Message(Value, frozen=True, kw_only=True, tag_field="type"):
    """What crosses a topic of ours. The value is self-contained; headers are a copy of its attributes.

    CloudEvents attributes: `type` is the tag, `id` and `time` are the kind's own fields (`id_field`, `time_field`),
    `source` follows from the topic, which has one writer.
    """

    topic: ClassVar[str]
    id_field: ClassVar[str]
    time_field: ClassVar[str]

    correlation_id: str | None = None
    causation_id: str | None = None

    @property
    def id(self) -> str:
        """Return the CloudEvents id."""
        return str(getattr(self, self.id_field))

    @property
    def time_us(self) -> int:
        """Return the CloudEvents time in microseconds."""
        return int(getattr(self, self.time_field))

    @property
    def key(self) -> str:
        """Return the Kafka key."""
        raise TypeError(f"{type(self).__name__} does not say its key")


class Position(Value, frozen=True, kw_only=True):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Reason(Value, frozen=True, kw_only=True):
    """Why something was done or refused: a stable code and a sentence."""

    code: str
    text: str


class Person(Value, frozen=True, kw_only=True):
    """Who did something."""

    name: str
    role: str


class Blob(Value, frozen=True, kw_only=True):
    """A file or folder in the artifact store, by digest."""

    uri: str
    digest: str
    size_bytes: int


class Signature(Value, frozen=True, kw_only=True):
    """A DSSE envelope and the key that made it."""

    key_id: str
    dsse: str
