"""Where a bus stands: what it reads, how far it is, whether it has caught up. Probes and the watchdog look at it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace_common.bus.lane import Lane
from millrace_common.metrics import LAG, POSITION
from millrace_common.records import TopicPartition


@dataclass(slots=True)
class Followed:
    """One partition of a followed log. `target` is the end seen at start: readiness waits for it."""

    at: TopicPartition
    position: int
    target: int
    end: int
    is_handed_over: bool = False
    """Its followers are at work on what was read; they have deadlines of their own."""

    @property
    def reached(self) -> int:
        """Return up to where the log was read."""
        return self.position


@dataclass(slots=True)
class Standing:
    """What a bus shows of itself while it runs a service."""

    lanes: dict[TopicPartition, Lane] = field(default_factory=dict)
    followed: dict[TopicPartition, Followed] = field(default_factory=dict)
    waiting_for: str = "the logs it follows"
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Stand at the beginning again."""
        self.lanes.clear()
        self.followed.clear()
        self.ready.clear()

    @property
    def is_rebuilding(self) -> bool:
        """Say whether a partition is still read up to where its outputs were acknowledged before."""
        return any(lane.reached < min(lane.quiet_below, lane.end) for lane in self.lanes.values())

    def places(self) -> Iterator[tuple[TopicPartition, int, int]]:
        """Yield every partition that is read, up to where, and its end."""
        readings: list[Followed | Lane] = [*self.followed.values(), *self.lanes.values()]
        for reading in readings:
            yield reading.at, reading.reached, max(reading.end, reading.reached)

    def measure(self) -> None:
        """Copy the positions into the metrics."""
        for at, position, end in self.places():
            POSITION.labels(at.topic, at.partition).set(position)
            LAG.labels(at.topic, at.partition).set(end - position)
