"""A service is a value: what it reads, what it does then, and what it answers over HTTP. Running it is the runner's."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from millrace_common.columns import Unpack
from millrace_common.records import Batch, Outgoing, TopicPartition

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


async def nothing() -> None:
    """Apply no state."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler wants done. The runner publishes, awaits every acknowledgement, applies the state, commits."""

    publish: Sequence[Outgoing] = ()
    apply: Callable[[], Awaitable[None]] = nothing


Handler = Callable[[Batch], Awaitable[Outcome]]
Follower = Callable[[Batch], Awaitable[None]]
Tick = Callable[[int], Awaitable[Outcome]]
"""Called with the time in microseconds."""


class Cursors(Protocol):
    """Where a subscription's state says it stands (R8, R11)."""

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Take the partition over and return the offset to read next; None: the start of the log.

        What was made of records below `committed` is acknowledged: a state that stands before it was lost or went back.
        """
        ...

    async def check(self, at: TopicPartition) -> None:
        """Raise Fenced when the store is not as this writer left it; called at each idle poll."""
        ...

    def drop(self, at: TopicPartition) -> None:
        """Forget what is cached of a partition that was taken away."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A long computation in a child process: `target` is `module:function`, called with `payload`, returns bytes."""

    id: str
    target: str
    payload: bytes
    virtual_us: int = 60_000_000
    """How long it takes on the virtual clock."""


class JobFailed(Exception):
    """A job ended without a result; the text is the end of its log."""


class Jobs(Protocol):
    """The jobs that a service's state says are to be done, one at a time.

    A running job that `next` no longer returns is killed, and has no end: forgetting a job is cancelling it.
    """

    async def next(self) -> Job | None:
        """Return the recorded job that is not finished, oldest first."""
        ...

    async def finished(self, job: Job, result: bytes | JobFailed, now_us: int) -> Outcome:
        """Take a job's end; its state change marks it finished, so that a restart does not run it again."""
        ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic read with the service's consumer group. Without cursors it starts at the committed offset."""

    topic: str
    handler: Handler
    cursors: Cursors | None = None
    reach_us: int | None = 0
    """How long before a record others may lie that matter to what is made of it; None: anywhere before it (R14)."""
    in_turn: bool = False
    """Handle one partition at a time: of a handler that computes a batch had better hold what comes until its turn."""


@dataclass(frozen=True, slots=True)
class Following:
    """A log that every process reads whole, from its start, committing nothing."""

    topic: str
    handler: Follower


@dataclass(frozen=True, slots=True)
class Ticking:
    """Something done every so often."""

    name: str
    every_us: int
    handler: Tick


@dataclass(frozen=True, slots=True)
class Service:
    """A service, as data."""

    name: str
    subscriptions: tuple[Subscription, ...] = ()
    followings: tuple[Following, ...] = ()
    ticks: tuple[Ticking, ...] = ()
    jobs: Jobs | None = None
    app: Asgi | None = None
    counts: Callable[[], Mapping[str, int]] = field(default=dict)
    unpack: Unpack | None = None
    """Finds the records in what Kafka sends, where the service has a faster way than aiokafka's."""

    def on(
        self,
        topic: str,
        handler: Handler,
        *,
        cursors: Cursors | None = None,
        reach_us: int | None = 0,
        in_turn: bool = False,
    ) -> "Service":
        """Handle each batch of `topic` as a member of the consumer group."""
        added = Subscription(topic, handler, cursors, reach_us, in_turn)
        return replace(self, subscriptions=(*self.subscriptions, added))

    def follow(self, topic: str, handler: Follower) -> "Service":
        """Read the whole of `topic` in every process; the service is ready after the end seen at start."""
        return replace(self, followings=(*self.followings, Following(topic, handler)))

    def tick(self, name: str, every_us: int, handler: Tick) -> "Service":
        """Call `handler` every `every_us` of the clock's time."""
        return replace(self, ticks=(*self.ticks, Ticking(name, every_us, handler)))

    def job(self, jobs: Jobs) -> "Service":
        """Run what `jobs` records, one at a time, in a child process."""
        return replace(self, jobs=jobs)

    def serve(self, app: Asgi) -> "Service":
        """Answer HTTP with `app`, behind /live, /ready, /status and /metrics."""
        return replace(self, app=app)
