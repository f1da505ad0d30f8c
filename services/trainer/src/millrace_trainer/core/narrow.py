"""The few facts of a row or label that counting needs."""

from dataclasses import dataclass
from typing import Literal

from millrace_common.messages import FeatureRow, Label
from millrace_trainer.core.assembly import Entry


@dataclass(frozen=True, slots=True)
class Narrow:
    """One entry, narrowed. `time_us` is the event's of a row, the seen time of a label; `name` is a label's.

    `counts` says that it is a spine row, or a label that is no withdrawal.
    """

    kind: Literal["row", "label"]
    event_type: str
    event_id: str
    name: str
    time_us: int
    partition: int
    offset: int
    counts: bool


def narrow(entry: Entry) -> Narrow:
    """Return the facts of an entry."""
    partition, offset, message = entry
    if isinstance(message, FeatureRow):
        counts = message.spine and message.op == "row"
        return Narrow("row", message.event_type, message.event_id, "", message.event_time_us, partition, offset, counts)
    return _of_label(partition, offset, message)


def _of_label(partition: int, offset: int, label: Label) -> Narrow:
    name = label.name if label.kind == "label" else ""
    given = label.value is not None
    return Narrow("label", label.event_type, label.event_id, name, label.seen_time_us, partition, offset, given)
