"""What befalls a features service while payments come: one column of the matrix each."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.fakes.features.world import World
from tests.matrix import payments
from tests.matrix.payments import Order, Payment

from millrace_common.errors import EXIT_CRASH
from millrace_common.records import Outgoing

KILL_SECONDS = 2.0
ROLLBACK_SECONDS = 1.0
CHUNK = 500
PUBLISHED = "published:3"
"""Where a process ends with rows on the topic that its state does not know of: after so many batches."""


@dataclass
class Run:
    """One run of a column: the world it is in, and what was done to it."""

    world: World
    sent: Sequence[Outgoing]
    rate: float
    """Events a second."""
    done: Counter[str] = field(default_factory=Counter)

    async def feed(self) -> None:
        """Send at the rate, whatever happens meanwhile."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for first in range(0, len(self.sent), CHUNK):
            await self.world.send(*self.sent[first : first + CHUNK])
            await asyncio.sleep(max(began + (first + CHUNK) / self.rate - loop.time(), 0))


Fate = Callable[[Run, asyncio.Task[None]], Awaitable[None]]


@dataclass(frozen=True)
class Column:
    """How payments come, and what happens while they do."""

    name: str
    order: Order
    fate: Fate
    needs: str | None = None
    """What must have been done at least once for the run to prove anything."""


async def nothing(run: Run, feeding: asyncio.Task[None]) -> None:
    """Let it be."""
    await feeding


async def killed(run: Run, feeding: asyncio.Task[None]) -> None:
    """`kill -9` two seconds after each time that it is ready; every second time when it has just published rows."""
    while not feeding.done():
        await asyncio.sleep(KILL_SECONDS)
        assert await run.world.end(signal.SIGKILL) == -signal.SIGKILL
        run.done["kills"] += 1
        await run.world.start(failpoints=PUBLISHED if run.done["kills"] % 2 else "")
        await _ready_or_gone(run.world)
    await run.world.end(signal.SIGKILL)
    run.done["kills"] += 1
    await run.world.start()


async def _ready_or_gone(world: World) -> None:
    waits = [asyncio.create_task(wait) for wait in (world.ready(), world.died())]
    first, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in others:
        wait.cancel()
    for wait in first:
        await wait


async def rebalanced(run: Run, feeding: asyncio.Task[None]) -> None:
    """Let a second member come and go, again and again; a member that goes is out after its session."""
    home = run.world.home / "other"
    home.mkdir()
    other = replace(run.world, process=None, home=home, instance="1")
    while not feeding.done():
        await other.start()
        await other.ready()
        await asyncio.sleep(KILL_SECONDS)
        await other.end(signal.SIGTERM)
        run.done["rebalances"] += 2


async def flushed(run: Run, feeding: asyncio.Task[None]) -> None:
    """Empty Redis in mid-stream; the process ends, and is started again."""
    while not feeding.done():
        await asyncio.sleep(2 * KILL_SECONDS)
        await run.world.redis.flushdb()
        await _crashed(run, "flushes")


async def rolled_back(run: Run, feeding: asyncio.Task[None]) -> None:
    """Put Redis back to what it was a second ago; the process ends, and is started again."""
    while not feeding.done():
        await asyncio.sleep(KILL_SECONDS)
        past = await run.world.stored()
        await asyncio.sleep(ROLLBACK_SECONDS)
        if await run.world.stored() == past:
            continue
        pipeline = run.world.redis.pipeline(transaction=True)
        pipeline.flushdb()
        if past:
            pipeline.mset(past)
        await pipeline.execute()
        await _crashed(run, "rollbacks")


async def _crashed(run: Run, what: str) -> None:
    assert await run.world.died() == EXIT_CRASH
    run.done[what] += 1
    run.world.process = None
    await run.world.start()
    await run.world.ready()


COLUMNS = (
    Column("in order", payments.in_order, nothing),
    Column("shuffled within lateness", payments.shuffled, nothing),
    Column("duplicated", payments.duplicated, nothing),
    Column("late", payments.late, nothing),
    Column("corrected", payments.corrected, nothing, "corrected"),
    Column("kill -9 each 2 s", payments.mixed, killed, "kills"),
    Column("rebalance", payments.mixed, rebalanced, "rebalances"),
    Column("Redis flushed", payments.mixed, flushed, "flushes"),
    Column("Redis rolled back 1 s", payments.mixed, rolled_back, "rollbacks"),
    Column("misplaced", payments.misplaced, nothing, "moved"),
)


async def survive(column: Column, world: World, events: Sequence[Payment], *, rate: float, seed: int) -> Run:
    """Let a column happen; return once the service stands at the end."""
    run = Run(world, column.order(events, random.Random(seed), world.partitions), rate)
    await world.start()
    await world.ready()
    feeding = asyncio.create_task(run.feed())
    await column.fate(run, feeding)
    await feeding
    run.done.update(await world.settled())
    assert column.needs is None or run.done[column.needs] > 0, f"no {column.needs}: the run proves nothing"
    return run
