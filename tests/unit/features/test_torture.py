"""Features killed anywhere, with a store that goes back: the real handlers on the settle model's ground."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.features.deployment import CARD_SPEND, SECOND, SHOP_TAKINGS, deployment
from tests.fakes.features.dying import DyingOnline, Killed, die
from tests.fakes.features.stage import NOON_US, Stage, payment
from tests.unit.oracles.held import hold_all

from millrace_common.errors import Fenced
from millrace_common.failpoints import Failpoints
from millrace_common.settle import Settler

DEPLOYMENT = deployment(CARD_SPEND, SHOP_TAKINGS)
LIVES: list[int] = []


@dataclass
class Torture:
    """A stage, and what befalls it."""

    rng: random.Random
    stage: Stage
    sent: int = 0
    lives: int = 0
    snapshots: tuple[dict[str, bytes], ...] = ()

    def restart(self) -> None:
        """Start the service anew; sometimes it is doomed to die at a certain write or failpoint."""
        self.lives += 1
        doom = Counter({self.rng.choice(["before", "after"]): self.rng.randint(1, 6)})
        store = DyingOnline(self.stage.store.held, f"life {self.lives}", before=doom["before"], after=doom["after"])
        if self.rng.random() < 0.5:
            store.before = store.after = 0
        self.stage.restart(store)
        deadly = {self.rng.choice(["published", "applied", "committing"]): self.rng.randint(1, 5)}
        self.stage.bus.settler = Settler(self.stage.bus, Failpoints(deadly if self.rng.random() < 0.5 else {}, die))
        self.stage.bus.batch_records_max = self.rng.randint(1, 5)

    async def send(self) -> None:
        """Send an event: in time or not, doubled or not, in its place or not."""
        rng, self.sent = self.rng, self.sent + 1
        number = rng.randint(1, self.sent) if rng.random() < 0.15 else self.sent
        which = random.Random(number)
        value = payment(
            f"p{number}",
            f"c{which.randint(0, 2)}",
            number * 2 - which.choice([0, 0, 0, 5, 30]),
            merchant=f"m{which.randint(0, 1)}",
            amount=which.choice([0.1, 0.2, 7.3, None]),
        )
        self.stage.clock.advance_to(NOON_US + self.sent * 2 * SECOND)
        await self.stage.send(value, partition=rng.choice([None, None, None, 0, 1]))

    async def work(self) -> None:
        """Let the service work until all is quiet or it ends."""
        try:
            await self.stage.run()
            for seat in self.stage.bus._seats:
                await seat.idle()
        except (Killed, Fenced):
            self.restart()

    async def lose(self) -> None:
        """Let the store go back to what it was, or lose everything."""
        held = self.stage.store.held
        past = self.rng.choice([{}, *self.snapshots])
        held.clear()
        held.update(past)

    async def live(self, steps: int) -> None:
        """Let things happen, then let them settle."""
        for _ in range(steps):
            await self.send()
            fate = self.rng.random()
            if fate < 0.4:
                await self.work()
            elif fate < 0.45:
                self.snapshots = (*self.snapshots[-3:], dict(self.stage.store.held))
            elif fate < 0.5:
                await self.lose()
            elif fate < 0.55:
                self.restart()
        for _ in range(100):
            lives = self.lives
            await self.work()
            if lives == self.lives:
                return
        raise AssertionError("no end of dying")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_whatever_befalls_it_each_event_counts_once(seed: int) -> None:
    """Killed anywhere, with the store rolled back or emptied: rows, copies and store equal the slow fold of the log."""

    async def live() -> None:
        torture = Torture(random.Random(seed), Stage(DEPLOYMENT, partitions=2))
        torture.restart()
        await torture.live(40)
        stage = torture.stage
        LIVES.append(torture.lives)
        hold_all(
            stage.bus.log["raw-data"],
            stage.bus.log["raw-data.by-merchant"],
            stage.bus.log["features"],
            stage.store.held,
            DEPLOYMENT,
        )

    asyncio.run(live())


def test_torture_was_torture() -> None:
    """A run in which nothing was replayed proves nothing: most of the runs above died several times."""
    assert sorted(LIVES)[len(LIVES) // 2] > 3
