"""The monitor between real topics, its memory on disk: killed thrice, it tells one story and closes the loop."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.fakes.monitor import World, deployment

from millrace.spec import DriftSpec, RetrainSpec
from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import SystemClock
from millrace_common.failpoints import Failpoints
from millrace_common.host import Host
from millrace_common.messages import Alert
from millrace_common.records import Batch, Outgoing
from millrace_common.service import Service
from millrace_common.topics import DRIFT_ALERTS, FEATURES, MODEL_CANDIDATES, PREDICTIONS, PROMOTIONS
from millrace_monitor.adapters import SqliteState
from millrace_monitor.service import build

DECLARED = deployment(
    retrain=RetrainSpec(rows_min=150),
    drift=DriftSpec(window_us=50_000_000, window_rows_min=50, labels_per_false_alarm=1_000.0),
)


class Killed(Exception):
    """Stands for kill -9 within one process."""


def die() -> None:
    """End the run at a failpoint."""
    raise Killed


class Listener:
    """Reads alerts from the log's start, as any subscriber would."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.heard = asyncio.Condition()

    @property
    def alerts(self) -> list[Alert]:
        """Return what was heard."""
        return [msgspec.json.decode(value, type=Alert) for value in self.values]

    async def take(self, batch: Batch) -> None:
        """Hear alerts."""
        async with self.heard:
            self.values.extend(record.value or b"" for record in batch.records)
            self.heard.notify_all()

    async def until(self, wanted: Callable[[Alert], bool], *running: "asyncio.Task[None]") -> Alert:
        """Wait for an alert and return it; raise what ends one of those that bring it about."""
        heard = asyncio.create_task(self._hear(wanted))
        done, _ = await asyncio.wait([heard, *running], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if heard not in done:
            heard.cancel()
            await asyncio.gather(*done)
            raise TimeoutError(f"not among {[(one.kind, one.state) for one in self.alerts]}")
        return next(one for one in self.alerts if wanted(one))

    async def _hear(self, wanted: Callable[[Alert], bool]) -> None:
        async with self.heard:
            await self.heard.wait_for(lambda: any(wanted(one) for one in self.alerts))


async def watch(options: KafkaOptions, world: World, home: Path, failpoints: Failpoints) -> None:
    """Run a monitor process with its ticks until it dies or is cancelled."""
    async with KafkaBus(options, failpoints=failpoints) as bus, SqliteState.open(home / "state.sqlite") as state:
        host = Host(DECLARED, bus, SystemClock(), options.instance, "0.1.0")
        service = build(host, state=state, artifacts=world.artifacts)
        running = asyncio.create_task(bus.run(service))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=0.2)
                if bus.standing.ready.is_set() and not running.done():
                    await bus.settler.settle(await service.ticks[0].handler(0))
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def story(world: World) -> list[Outgoing]:
    """Return a model that is good for 300 rows and bad for 400."""
    sent = [world.promote()]
    for n in range(700):
        sent += world.row(right=0.8, shift=(0.0, 0.0, 0.0)) if n < 300 else bad(world)
    return sent


def bad(world: World) -> list[Outgoing]:
    """Return a row of the changed world, which the model gets wrong."""
    return world.row(right=0.3, shift=(2.0, 0.0, 0.0))


async def test_killed_thrice_it_tells_one_story_and_the_loop_closes(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Every alert has one content however often it was sent, and the request leads to a closed loop's clock."""
    options = KafkaOptions(kafka_bootstrap, topic_prefix, batch_records_max=60, session_seconds=6.0)
    topics = (FEATURES, PREDICTIONS, PROMOTIONS, MODEL_CANDIDATES, DRIFT_ALERTS)
    await create_topics(kafka_bootstrap, topics, prefix=topic_prefix, partitions=2)
    world, listener = World(np.random.default_rng(3)), Listener()
    async with KafkaBus(options) as producer, KafkaBus(options) as ear:
        await producer.publish(story(world))
        for point, times in (("published", 9), ("applied", 12), ("committing", 15)):
            with pytest.raises(Killed):
                await watch(options, world, tmp_path, Failpoints({point: times}, die))
        hearing = asyncio.create_task(ear.run(Service("ear").follow(DRIFT_ALERTS.name, listener.take)))
        watching = asyncio.create_task(watch(options, world, tmp_path, Failpoints()))
        await listener.until(lambda one: (one.kind, one.state) == ("performance", "firing"), watching, hearing)
        # However late the promotion was read beside the rows, as many lie behind it by now as a request waits for.
        await producer.publish([one for _ in range(200) for one in bad(world)])
        asked = await listener.until(lambda one: (one.kind, one.state) == ("retrain", "requested"), watching, hearing)
        assert asked.retrain is not None
        await producer.publish([world.candidate(asked.retrain.request_id, "c2"), world.promote(candidate_id="c2")])
        await producer.publish([one for _ in range(20) for one in world.row(right=0.8)])
        closed = await listener.until(lambda one: one.kind == "loop", watching, hearing)
        for task in (watching, hearing):
            task.cancel()
        await asyncio.gather(watching, hearing, return_exceptions=True)

    assert closed.loop is not None
    assert (closed.loop.from_version, closed.loop.to_version) == ("1", "2")
    assert closed.correlation_id == asked.correlation_id
    contents = defaultdict(set)
    for alert, value in zip(listener.alerts, listener.values, strict=True):
        contents[alert.alert_id].add(value)
    assert all(len(values) == 1 for values in contents.values())
    assert {one.kind for one in listener.alerts} == {"drift", "performance", "retrain", "loop"}
