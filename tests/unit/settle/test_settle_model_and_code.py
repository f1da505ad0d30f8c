"""The settle model and the code say the same: where a partition starts, what stays quiet, the order of effects."""

import itertools
from collections.abc import Sequence

from tests.unit.settle.model import RAW, Cursor, Event, Place
from tests.unit.settle.scheduler import Simulation
from tests.unit.settle.variants import IN_FORCE
from tests.unit.settle.worker import Worker, start_of

from millrace_common.bus.lane import Extent, open_lane
from millrace_common.errors import DataGap
from millrace_common.failpoints import Failpoints
from millrace_common.messages import Position
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import Outcome, Subscription
from millrace_common.settle import Settler

AT = TopicPartition("raw-data", 0)


class Cursors:
    """A sink that stands at an offset."""

    def __init__(self, offset: int | None) -> None:
        self.offset = offset

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        return self.offset

    async def check(self, at: TopicPartition) -> None:
        return

    def drop(self, at: TopicPartition) -> None:
        return


class Steps:
    """Notes what is done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        self.done += ["publish"] * len(records) + ["acked"]
        return []

    async def partitions(self, topic: str) -> int:
        return 1

    async def on_batch(self, batch: Batch) -> Outcome:
        self.done += ["poll", "load"]

        async def apply() -> None:
            self.done += ["apply", "cursor"]

        return Outcome([Outgoing("features", b"k", r.value, cause_offset=r.offset) for r in batch.records], apply)

    async def commit(self) -> None:
        self.done.append("commit")


async def test_a_lane_starts_where_the_model_does() -> None:
    """R8: for every cursor, committed offset and log start that can meet; only the code knows and refuses gaps."""
    for cursor, committed, first in itertools.product([None, 0, 3, 5], [None, 0, 2, 5], [0, 4]):
        subscription = Subscription(AT.topic, Steps().on_batch, Cursors(cursor))
        expected = start_of(IN_FORCE, cursor, committed, first=first)
        try:
            lane = await open_lane("features", subscription, AT, committed=committed, log=Extent(first, 9))
        except DataGap:
            assert cursor is not None
            assert cursor < first
            continue
        assert lane.position == expected
        assert lane.quiet_below == (committed or 0)


async def test_a_batch_takes_the_steps_of_the_model() -> None:
    """R4: publish each, all acknowledged, state, cursor, commit; and R8's quiet offsets are not published."""
    for committed in (0, 2, 3):
        steps = Steps()
        subscription = Subscription(AT.topic, steps.on_batch, Cursors(0))
        lane = await open_lane("features", subscription, AT, committed=committed, log=Extent(0, 3))
        batch = Batch(AT, [Record(AT.topic, 0, i, b"k", b"v", (), 0) for i in range(3)])
        await lane.work(batch, Settler(steps, Failpoints()), steps.commit)
        assert _once(steps.done) == _model_steps(committed)


def _model_steps(committed: int) -> list[str]:
    sim = Simulation(IN_FORCE, script=[], workers=1)
    sim.is_silent = True
    sim.rules = type(IN_FORCE)(batch_min=3, batch_max=3)
    place = Place(RAW, 0)
    for i in range(3):
        sim.broker.log[place].append(Event(f"e{i}", 0, 0, i, 0.5))
    sim.broker.committed[place] = committed
    sim.store.cursors[place] = Cursor(0)
    labels = []
    for label in Worker(sim, sim.rules, place, 0).run():
        if label == "idle":
            break
        labels.append(label)
    return _once(labels)[1:]


def _once(labels: list[str]) -> list[str]:
    """Return the steps, repetitions of one left out, and the acknowledgement of nothing too."""
    steps = [label for label, _ in itertools.groupby(labels)]
    return [step for i, step in enumerate(steps) if step != "acked" or steps[i - 1] == "publish"]
