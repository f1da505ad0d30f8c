"""The monitor on the bus in memory: what comes in, what it says, and that it says the same after a crash."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tests.fakes.monitor import START_US, World, alerts_of, deployment

from millrace.spec import Deployment, DriftSpec, RetrainSpec
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.codec import decode
from millrace_common.host import Host
from millrace_common.messages import Alert
from millrace_common.records import Outgoing
from millrace_common.service import Service
from millrace_common.simulate import Simulation
from millrace_monitor.adapters import MemoryState
from millrace_monitor.service import build


class Stage:
    """A world, a bus and the monitor on it."""

    def __init__(self, declared: Deployment, *, seed: int = 1) -> None:
        self.world = World(np.random.default_rng(seed))
        self.clock = VirtualClock(START_US)
        self.bus = MemoryBus(self.clock)
        self.host = Host(declared, self.bus, self.clock, "0", "test")
        self.service: Service = build(self.host, state=MemoryState(), artifacts=self.world.artifacts)
        self.simulation = Simulation(self.bus, self.clock, [self.service])

    async def publish(self, *records: Outgoing) -> None:
        """Publish and let the monitor work it off, to the next tick."""
        await self.bus.publish(records)
        await self.simulation.until_quiet()
        await self.simulation.advance_to(max(self.clock.now_us() + 1, self.world.now_us))

    async def rows(self, n: int, **how: object) -> None:
        """Publish `n` events with their predictions and labels."""
        for _ in range(n):
            await self.publish(*self.world.row(**how))  # type: ignore[arg-type]  # handed through

    @property
    def alerts(self) -> list[Alert]:
        """Return what was said."""
        said = [decode(record) for record in self.bus.log["drift-alerts"][0]]
        return [one for one in said if isinstance(one, Alert)]

    def of(self, kind: str) -> list[Alert]:
        """Return what was said of one kind."""
        return [one for one in self.alerts if one.kind == kind]


async def test_nothing_is_said_while_nothing_is_wrong() -> None:
    """3,000 rows as the profile says, with labels as good as the scores say: not one alert."""
    stage = Stage(deployment(retrain=RetrainSpec(on_drift=True)))
    await stage.publish(stage.world.promote())

    await stage.rows(3_000, right=0.8)

    assert stage.alerts == []


async def test_the_loop_closes_from_the_change_to_the_first_prediction() -> None:
    """A model that gets worse is told, replaced on request once enough rows are labelled, and the clock is complete."""
    stage = Stage(deployment(retrain=RetrainSpec(rows_min=300)))
    await stage.publish(stage.world.promote())
    await stage.rows(600, right=0.8)
    changed_us = stage.world.now_us
    await stage.rows(400, right=0.5)

    fired, asked = stage.of("performance")[0], stage.of("retrain")[0]
    assert fired.state == "firing"
    assert fired.at_us - changed_us <= 250_000_000, "told within 250 labels"
    assert fired.impact is not None
    assert (fired.impact.before or 0) - (fired.impact.after or 1) > 0.1
    assert asked.state == "requested"
    assert asked.retrain is not None
    assert asked.retrain.reason == "concept"
    assert asked.retrain.base_digest == stage.world.digest
    assert asked.correlation_id == fired.incident_id
    assert asked.at_us - changed_us >= 250_000_000, "and waits for 300 labelled rows after the change"

    await stage.publish(stage.world.candidate(asked.retrain.request_id, "c2"))
    await stage.publish(stage.world.promote(candidate_id="c2"))
    await stage.rows(120, right=0.8)

    said = alerts_of(stage.alerts)
    assert said.count(("performance", "resolved")) == 1
    assert said.count(("retrain", "closed")) == 1
    loop = stage.of("loop")[0].loop
    assert loop is not None
    assert (loop.from_version, loop.to_version) == ("1", "2")
    assert loop.changed_us == pytest.approx(changed_us, abs=100_000_000)
    steps = [loop.detected_us, loop.requested_us, loop.candidate_us, loop.promoted_us, loop.first_prediction_us]
    assert steps == sorted(steps)
    assert len({one.alert_id for one in stage.alerts}) == len(stage.alerts)


async def test_a_shifted_column_is_paged_by_name_and_told_when_it_is_over() -> None:
    """A shift of one column by 0.7 fires one drift incident that ranks it first, and resolves when it is back."""
    stage = Stage(deployment(retrain=RetrainSpec(on_performance=False)))
    await stage.publish(stage.world.promote())
    await stage.rows(500, right=0.8)
    await stage.rows(1_500, right=0.8, shift=(0.0, 0.7, 0.0))
    await stage.rows(1_500, right=0.8)

    fired, resolved = stage.of("drift")
    assert (fired.state, resolved.state) == ("firing", "resolved")
    assert fired.items[0].name == "b"
    assert fired.window is not None
    assert fired.window.n >= 100
    assert fired.evidence is not None
    assert fired.evidence.budget is not None
    assert fired.state_digest is not None
    assert fired.state_digest.startswith("sha256:")
    assert fired.change_point is not None
    assert (resolved.incident_id, resolved.revision) == (fired.incident_id, 2)


async def test_a_quality_incident_blocks_retraining() -> None:
    """A column that suddenly comes missing is told at once, and no request is made while it lasts."""
    stage = Stage(deployment(retrain=RetrainSpec(on_drift=True, every_rows=300)))
    await stage.publish(stage.world.promote())
    await stage.rows(220, right=0.8)
    await stage.rows(600, right=0.8, null=0.5)

    assert stage.of("quality")[0].items[0].name == "a"
    assert stage.of("quality")[0].severity == "fatal"
    assert stage.of("retrain") == []

    await stage.rows(500, right=0.8)

    assert stage.of("quality")[-1].state == "resolved"
    assert stage.of("retrain") != []


async def test_a_rejection_doubles_the_rows_that_the_next_request_waits_for() -> None:
    """With a schedule of 200 rows, the request after a rejection comes 400 rows later."""
    stage = Stage(deployment(retrain=RetrainSpec(on_performance=False, every_rows=200)))
    await stage.publish(stage.world.promote())
    await stage.rows(260, right=0.8)
    (first,) = stage.of("retrain")
    assert first.retrain is not None
    await stage.publish(stage.world.candidate(first.retrain.request_id, "c2"))
    await stage.publish(stage.world.reject("c2"))
    await stage.rows(340, right=0.8)

    assert [one.state for one in stage.of("retrain")] == ["requested", "closed"]
    assert stage.of("retrain")[1].causes[0].cause == "rejected"

    await stage.rows(120, right=0.8)

    assert [one.state for one in stage.of("retrain")] == ["requested", "closed", "requested"]
    assert len({one.retrain.request_id for one in stage.of("retrain") if one.retrain}) == 2


@pytest.mark.parametrize("promotion_first", [True, False])
async def test_a_request_is_settled_in_whichever_order_its_topics_are_read(*, promotion_first: bool) -> None:
    """A promotion that is read before its candidate closes the same loop as one read after it."""
    stage = Stage(deployment(retrain=RetrainSpec(on_performance=False, every_rows=200)))
    await stage.publish(stage.world.promote())
    await stage.rows(260, right=0.8)
    asked = stage.of("retrain")[0].retrain
    assert asked is not None
    steps: Sequence[Callable[[], Outgoing]] = (
        lambda: stage.world.candidate(asked.request_id, "c2"),
        lambda: stage.world.promote(candidate_id="c2"),
    )
    for step in reversed(steps) if promotion_first else steps:
        await stage.publish(step())
        await stage.rows(5, right=0.8)

    assert len(stage.of("loop")) == 1


async def test_only_one_request_of_a_model_is_open() -> None:
    """While a request is open, neither schedule nor drift nor people make another."""
    stage = Stage(deployment(retrain=RetrainSpec(on_drift=True, every_rows=150)))
    await stage.publish(stage.world.promote())
    await stage.rows(1_200, right=0.5, shift=(3.0, 3.0, 3.0))

    assert [one.state for one in stage.of("retrain")] == ["requested"]


async def test_a_champion_without_a_readable_profile_is_told_and_still_graded() -> None:
    """Drift cannot be watched then; accuracy is, and the next readable champion ends the incident."""
    stage = Stage(deployment())
    await stage.publish(stage.world.promote(readable=False))
    await stage.rows(150, right=0.8)

    assert alerts_of(stage.alerts) == [("serving", "firing")]

    await stage.publish(stage.world.promote())
    await stage.rows(5, right=0.8)

    assert alerts_of(stage.alerts)[1:] == [("serving", "resolved")]


async def test_what_does_not_decode_becomes_a_dead_letter_and_holds_nothing_up() -> None:
    """Bytes that are no message go to the dead letters of their topic."""
    stage = Stage(deployment())
    await stage.publish(Outgoing("predictions", b"k", b"{", (("ce_type", b"millrace.prediction.v1"),)))
    await stage.publish(stage.world.promote())
    await stage.rows(10, right=0.8)

    (letter,) = stage.bus.log["predictions.dlq"][0]
    assert letter.value == b"{"
    assert stage.service.counts()["predictions"] == 10


async def test_duplicates_count_once() -> None:
    """Of one event the first prediction counts, and one label."""
    stage = Stage(deployment())
    await stage.publish(stage.world.promote())
    for _ in range(30):
        row = stage.world.row(right=0.8)
        await stage.publish(*row, *row, row[1])

    assert stage.service.counts()["predictions"] == 30
    assert stage.service.counts()["graded"] == 30


async def test_the_same_messages_give_the_same_bytes() -> None:
    """Two runs over one history write the same alerts, byte for byte."""
    logs = []
    for _ in range(2):
        stage = Stage(deployment(drift=DriftSpec(window_us=50_000_000, window_rows_min=50)), seed=9)
        await stage.publish(stage.world.promote())
        await stage.rows(300, right=0.8)
        await stage.rows(700, right=0.4, shift=(1.5, 0.0, 0.0))
        logs.append([(record.key, record.value, record.headers) for record in stage.bus.log["drift-alerts"][0]])

    assert logs[0] == logs[1]
    assert len(logs[0]) >= 3
