"""Label: the truth about an event, later."""

from typing import ClassVar, Literal

from millrace_common.messages._base import Message, Position, Scalar


class Label(Message, frozen=True, kw_only=True, tag="millrace.label.v1"):
    """What was seen about one event. Of several, the newest by (seen_time_us, log order) wins; null withdraws.

    A default is never published: readers supply it at maturity.
    """

    topic: ClassVar[str] = "features"
    id_field: ClassVar[str] = "label_id"
    time_field: ClassVar[str] = "seen_time_us"

    label_id: str
    name: str
    kind: Literal["label", "metric"] = "label"
    origin: Literal["event", "review"] = "event"
    event_type: str
    event_id: str
    source_event_id: str
    value: Scalar
    seen_time_us: int
    append_time_us: int
    source: Position
    flags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return the id of the event referred to."""
        return self.event_id
