"""One partition of a subscription while this process has it: where it starts, how a batch of it is worked off."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from millrace_common.errors import DataGap
from millrace_common.metrics import BATCH_SECONDS, RECORDS_READ
from millrace_common.records import Batch, TopicPartition
from millrace_common.service import Outcome, Subscription
from millrace_common.settle import Settler


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition's log holds: offsets from `start` up to, not including, `end`."""

    start: int
    end: int


WholeFrom = Callable[[TopicPartition, int | None], Awaitable[int | None]]
"""Given how far a record reaches back, returns the first offset whose reach the log holds whole; None: not one yet."""


async def from_the_start(at: TopicPartition, reach_us: int | None) -> int | None:
    """Stand for a log of which nothing was ever deleted."""
    return 0


@dataclass(slots=True)
class Lane:
    """A partition taken over. `quiet_below` is the offset that was committed at assignment (R8)."""

    service: str
    subscription: Subscription
    at: TopicPartition
    position: int
    quiet_below: int
    end: int
    """The log's end as last seen."""
    passed: int = 0
    """Below it nothing more is to come: producers' transactions leave marks in the log that are never handed over."""
    steps: int = 0
    """Grows with every batch and every idle poll: one that stands still had nothing to do."""
    _started: float = 0.0

    @property
    def reached(self) -> int:
        """Return up to where the log is dealt with: lag is counted from there."""
        return max(self.position, self.passed)

    async def work(self, batch: Batch, settler: Settler, commit: Callable[[], Awaitable[None]]) -> None:
        """Hand a batch to the handler and settle its outcome."""
        await self.settle(batch, await self.handle(batch), settler, commit)

    async def handle(self, batch: Batch) -> Outcome:
        """Hand a batch to the handler; its outcome is to be settled before the next one is handed over."""
        self._started = perf_counter()
        return await self.subscription.handler(batch)

    async def settle(
        self, batch: Batch, outcome: Outcome, settler: Settler, commit: Callable[[], Awaitable[None]]
    ) -> None:
        """Settle what the handler made of a batch."""
        quiet_below = self.quiet_below if batch.records[0].offset < self.quiet_below else 0
        await settler.settle(outcome, quiet_below=quiet_below, commit=commit)
        self.position = batch.end
        self.end = max(self.end, batch.end)
        self.steps += 1
        BATCH_SECONDS.labels(self.service, self.at.topic).observe(perf_counter() - self._started)
        RECORDS_READ.labels(self.service, self.at.topic).inc(len(batch.records))

    async def idle(self) -> None:
        """Compare the store with what this writer left; nothing came for a while (R11)."""
        if self.subscription.cursors is not None:
            await self.subscription.cursors.check(self.at)
        self.steps += 1

    def drop(self) -> None:
        """Forget what is cached of the partition: it was taken away."""
        if self.subscription.cursors is not None:
            self.subscription.cursors.drop(self.at)


async def open_lane(
    service: str,
    subscription: Subscription,
    at: TopicPartition,
    *,
    committed: int | None,
    log: Extent,
    whole_from: WholeFrom = from_the_start,
) -> Lane:
    """Take a partition over at its state's cursor; without cursors at the committed offset; else at the log start (R8).

    Raises DataGap where the log does not hold the place to start from, or not all that a lost state was made of (R14).
    """
    cursors = subscription.cursors
    start = committed if cursors is None else await cursors.start(at, committed)
    if start is None and committed is not None and log.start > 0:
        whole = await whole_from(at, subscription.reach_us)
        if whole is None or committed < whole:
            raise DataGap(
                f"the state of {service} for {at.topic}[{at.partition}] is lost, and the log from {log.start} on does "
                f"not hold all that it was made of at {committed}; restore the store, or accept that what follows "
                "differs from what was published: delete the group's committed offset"
            )
    position = log.start if start is None else start
    if not log.start <= position <= log.end:
        raise DataGap(
            f"{at.topic}[{at.partition}] holds offsets {log.start} to {log.end}, {service} must go on at {position}; "
            "restore the log, or rebuild the service's state from what is left"
        )
    return Lane(service, subscription, at, position, committed or 0, log.end)
