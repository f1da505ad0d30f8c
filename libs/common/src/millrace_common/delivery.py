"""A batch of our own messages, decoded; what breaks its contract becomes a dead letter."""

from typing import TypeVar

from millrace_common.codec import NewerVersion, dead_letter, decode
from millrace_common.errors import Refused
from millrace_common.messages import KINDS, Message
from millrace_common.metrics import DEAD_LETTERS
from millrace_common.records import Batch, Outgoing, Record

M = TypeVar("M", bound=Message)
_KNOWN = frozenset(str(kind.__struct_config__.tag).encode() for kind in KINDS)


def decoded(batch: Batch, *kinds: type[M], service_version: str) -> tuple[list[tuple[Record, M]], list[Outgoing]]:
    """Return the messages of these kinds in log order, and the dead letters to add to the outcome.

    Other kinds are skipped. NewerVersion is let through: it stops the reader, naming the upgrade.
    """
    wanted = {str(kind.__struct_config__.tag).encode() for kind in kinds}
    messages: list[tuple[Record, M]] = []
    letters: list[Outgoing] = []
    for record in batch.records:
        if _is_foreign(record, wanted):
            continue
        try:
            message = decode(record)
        except NewerVersion:
            raise
        except Refused as refusal:
            letters.append(dead_letter(record, refusal, service_version=service_version))
            DEAD_LETTERS.labels(record.topic, refusal.reason).inc()
            continue
        if isinstance(message, kinds):
            messages.append((record, message))
    return messages, letters


def _is_foreign(record: Record, wanted: set[bytes]) -> bool:
    """Say whether the header names another known kind, so that its value need not be decoded."""
    for key, value in record.headers:
        if key == "ce_type":
            return value in _KNOWN and value not in wanted
    return False
