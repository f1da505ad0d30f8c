"""The monitor's memory on disk: killed anywhere and restarted, it says what it would have said."""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.monitor import START_US, FakeArtifacts, World, deployment

from millrace.spec import Deployment, DriftSpec, RetrainSpec
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.codec import decode
from millrace_common.errors import Fenced, Misconfigured
from millrace_common.host import Host
from millrace_common.messages import Alert
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import Service
from millrace_common.simulate import Simulation
from millrace_monitor.adapters import SqliteState
from millrace_monitor.core.saved import Changes
from millrace_monitor.service import build

TOPICS = ("promotions", "model-candidates", "features", "predictions")
DECLARED = deployment(
    retrain=RetrainSpec(rows_min=100, every_rows=400),
    drift=DriftSpec(window_us=50_000_000, window_rows_min=50, labels_per_false_alarm=1_000.0),
)


def history() -> tuple[dict[str, list[Record]], FakeArtifacts]:
    """Return the logs of a model that gets worse and is replaced, and its artifacts."""
    world = World(np.random.default_rng(8))
    sent: list[Outgoing] = [world.promote()]
    for n in range(1_200):
        if n == 800:
            sent.append(world.promote(candidate_id="c2"))
        right, shift = (0.4, 1.2) if 400 <= n < 800 else (0.8, 0.0)
        sent.extend(world.row(right=right, shift=(shift, 0.0, 0.0)))
    logs: dict[str, list[Record]] = defaultdict(list)
    for one in sent:
        log = logs[one.topic]
        log.append(Record(one.topic, 0, len(log), one.key, one.value, one.headers, START_US))
    return logs, world.artifacts


@dataclass(slots=True)
class Ran:
    """What a run published, in order, and how often it was killed."""

    published: list[Outgoing] = field(default_factory=list)
    killed: int = 0

    @property
    def alerts(self) -> list[Alert]:
        """Return the alerts by first publication of each id."""
        by_id: dict[str, Alert] = {}
        for one in self.published:
            message = decode(Record(one.topic, 0, 0, one.key, one.value, one.headers, 0))
            assert isinstance(message, Alert)
            by_id.setdefault(message.alert_id, message)
        return list(by_id.values())


def made(declared: Deployment, state: SqliteState, artifacts: FakeArtifacts, clock: VirtualClock) -> Service:
    """Return a monitor on a state."""
    return build(Host(declared, MemoryBus(clock), clock, "0", "test"), state=state, artifacts=artifacts)


async def run(path: Path, seed: int, kill: float) -> Ran:
    """Work the history off in batches drawn by `seed`, killed with chance `kill` at each step's four places."""
    logs, artifacts = history()
    schedule, deaths, ran = np.random.default_rng(seed), np.random.default_rng(seed + 1), Ran()
    clock, batches = VirtualClock(START_US), _schedule(logs, schedule)
    done = 0
    while done < len(batches):
        async with SqliteState.open(path) as state:
            service = made(DECLARED, state, artifacts, clock)
            on = {one.topic: one for one in service.subscriptions}
            while done < len(batches):
                batch = batches[done]
                start = await state.cursor(batch.at) or 0
                if start == batch.end:
                    done += 1
                    continue
                assert start == batch.records[0].offset, "the cursor moved with the state, never beside it"
                clock.at_us = START_US + done
                outcome = await on[batch.at.topic].handler(batch)
                place = int(deaths.integers(3)) if deaths.random() < kill else None
                if place == 0:
                    break
                ran.published.extend(outcome.publish)
                if place == 1:
                    break
                await outcome.apply()
                if place == 2:
                    break
                done += 1
            else:
                await _end(service, ran)
                break
            ran.killed += 1
    return ran


async def _end(service: Service, ran: Ran) -> None:
    """Let the last cuts be taken and judged."""
    (tick,) = service.ticks
    for _ in range(3):
        outcome = await tick.handler(0)
        ran.published.extend(outcome.publish)
        await outcome.apply()


def _schedule(logs: dict[str, list[Record]], rng: np.random.Generator) -> list[Batch]:
    """Cut the logs into batches that are read roughly in step, as a live reader would."""
    batches: list[Batch] = []
    at = dict.fromkeys(TOPICS, 0)
    for share in np.linspace(0.01, 1.0, 100):
        for topic in rng.permutation(TOPICS):
            end = int(share * len(logs[topic])) if share < 1 else len(logs[topic])
            while at[topic] < end:
                size = min(int(rng.integers(1, 40)), end - at[topic])
                records = tuple(logs[topic][at[topic] : at[topic] + size])
                batches.append(Batch(TopicPartition(str(topic), 0), records))
                at[topic] += size
    return batches


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_anywhere_it_says_the_same(tmp_path: Path, seed: int) -> None:
    """Over dozens of kills the alerts are those of a run without, and a repeated one has the same bytes."""
    calm = await run(tmp_path / "calm.sqlite", seed, kill=0.0)
    rough = await run(tmp_path / "rough.sqlite", seed, kill=0.15)

    assert rough.killed > 15
    assert len(calm.alerts) >= 4
    assert rough.alerts == calm.alerts
    copies = defaultdict(set)
    for one in rough.published:
        copies[dict(one.headers)["ce_id"]].add(one.value)
    assert all(len(values) == 1 for values in copies.values())
    assert len(rough.published) >= len(calm.published)


async def test_an_incident_s_story_goes_on_over_restarts(tmp_path: Path) -> None:
    """Restarted between every two steps, an incident, its request and its loop still count one row of revisions."""
    world, clock = World(np.random.default_rng(8)), VirtualClock(START_US)
    bus = MemoryBus(clock)
    declared = deployment(retrain=RetrainSpec(rows_min=100))

    async def play(*sent: Outgoing) -> list[Alert]:
        async with SqliteState.open(tmp_path / "s.sqlite") as state:
            service = build(Host(declared, bus, clock, "0", "test"), state=state, artifacts=world.artifacts)
            simulation = Simulation(bus, clock, [service])
            await bus.publish(sent)
            await simulation.advance_to(clock.now_us() + 5_000_000)
        said = [decode(record) for record in bus.log["drift-alerts"][0]]
        return [one for one in said if isinstance(one, Alert)]

    await play(world.promote(), *(one for _ in range(300) for one in world.row(right=0.8)))
    said = await play(*(one for _ in range(300) for one in world.row(right=0.4)))
    asked = said[-1].retrain
    assert asked is not None
    await play(world.candidate(asked.request_id, "c2"))
    await play(world.promote(candidate_id="c2"))
    said = await play(*(one for _ in range(5) for one in world.row(right=0.8)))

    story = [(one.kind, one.state, one.revision) for one in said if one.incident_id == said[0].incident_id]
    assert story == [
        ("performance", "firing", 1),
        ("retrain", "requested", 2),
        ("performance", "resolved", 3),
        ("retrain", "closed", 4),
        ("loop", "closed", 5),
    ]
    assert [one.causation_id for one in said[1:]] == [one.alert_id for one in said[:-1]]


async def test_steps_are_stored_in_the_order_in_which_they_were_handled(tmp_path: Path) -> None:
    """Outputs acknowledged the other way round do not store a later step without the earlier one it builds on."""
    logs, artifacts = history()
    async with SqliteState.open(tmp_path / "s.sqlite") as state:
        service = made(DECLARED, state, artifacts, VirtualClock(START_US))
        on = {one.topic: one for one in service.subscriptions}
        features, predictions = TopicPartition("features", 0), TopicPartition("predictions", 0)
        first = await on["features"].handler(Batch(features, tuple(logs["features"][:10])))
        second = await on["predictions"].handler(Batch(predictions, tuple(logs["predictions"][:5])))

        await second.apply()
        assert await state.cursor(predictions) is None
        await first.apply()
        assert (await state.cursor(features), await state.cursor(predictions)) == (10, 5)


async def test_a_partition_handled_further_than_stored_is_not_taken_over_again(tmp_path: Path) -> None:
    """Memory that ran ahead of the file ends the process: the log is read again from the file's cursor."""
    logs, artifacts = history()
    async with SqliteState.open(tmp_path / "s.sqlite") as state:
        service = made(DECLARED, state, artifacts, VirtualClock(START_US))
        on = next(one for one in service.subscriptions if one.topic == "features")
        at = TopicPartition("features", 0)
        await on.handler(Batch(at, tuple(logs["features"][:10])))

        assert on.cursors is not None
        with pytest.raises(Fenced, match="offset 10 was handled"):
            await on.cursors.start(at, None)


async def test_a_state_that_somebody_else_changed_is_noticed(tmp_path: Path) -> None:
    """An idle poll compares the stored cursor with what this process left."""
    logs, artifacts = history()
    async with SqliteState.open(tmp_path / "s.sqlite") as state:
        service = made(DECLARED, state, artifacts, VirtualClock(START_US))
        on = next(one for one in service.subscriptions if one.topic == "features")
        at = TopicPartition("features", 0)
        outcome = await on.handler(Batch(at, tuple(logs["features"][:10])))
        await outcome.apply()
        assert on.cursors is not None
        await on.cursors.check(at)
        await state.save([Changes({}, {}, at, 4)])

        with pytest.raises(Fenced, match="10 was stored, the state now says 4"):
            await on.cursors.check(at)


async def test_two_monitors_cannot_share_a_home(tmp_path: Path) -> None:
    """The second one that opens the file is refused, saying why."""
    async with SqliteState.open(tmp_path / "s.sqlite"):
        with pytest.raises(Misconfigured, match="another monitor"):
            async with SqliteState.open(tmp_path / "s.sqlite"):
                pass


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A format that this version does not know is not touched."""
    connection = sqlite3.connect(tmp_path / "s.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(Misconfigured, match="format 99"):
        async with SqliteState.open(tmp_path / "s.sqlite"):
            pass
