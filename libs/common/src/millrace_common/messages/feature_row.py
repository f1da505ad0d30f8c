"""FeatureRow: an entity's feature values at one event, one per event and entity type."""

from typing import ClassVar, Literal

from millrace_common.messages._base import Message, Position, Scalar


class FeatureRow(Message, frozen=True, kw_only=True, tag="millrace.feature_row.v1"):
    """All groups of one entity at one event.

    The row of the event's own entity is the spine row: it exists even with no group and carries the event's fields.
    `groups` maps `CardSpend@<hash8>` to {feature: value}.
    """

    topic: ClassVar[str] = "features"
    id_field: ClassVar[str] = "row_id"
    time_field: ClassVar[str] = "event_time_us"

    row_id: str
    op: Literal["row", "withdrawn"] = "row"
    event_type: str
    event_id: str
    entity_type: str
    entity_id: str
    spine: bool
    event_time_us: int
    append_time_us: int
    source: Position
    late: bool = False
    groups: dict[str, dict[str, Scalar]]
    fields: dict[str, Scalar] | None = None
    flags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return the entity id."""
        return self.entity_id
