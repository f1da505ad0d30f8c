"""What carries records between services. One protocol, three buses, one conformance suite."""

from collections.abc import Sequence
from typing import Protocol

from millrace_common.messages import Position
from millrace_common.records import Outgoing
from millrace_common.service import Service


class Publisher(Protocol):
    """Where HTTP edges send: every record acknowledged before this returns."""

    async def publish(self, records: Sequence[Outgoing]) -> Sequence[Position]:
        """Send and await every acknowledgement; positions in the order of `records`.

        Raises Unavailable where nothing was sent, Unknown where a deadline passed after the send.
        """
        ...

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, as the broker says."""
        ...

    async def ends(self, topic: str) -> list[int]:
        """Return the offset that follows the last record of each partition of a topic. Raises Unavailable."""
        ...


class Bus(Publisher, Protocol):
    """What runs services: at most one batch in flight per partition, partitions side by side."""

    async def run(self, service: Service) -> None:
        """Read, hand over, settle, until cancelled; then stop fetching and settle what is in flight."""
        ...
