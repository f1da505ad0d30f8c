"""The trainer on a bus in memory: requests in, candidates out, the same bytes each time."""

import time

from tests.fakes.trainer import SECOND, deployment, history, retrain

from millrace.spec import TrainingSpec
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.codec import decode, encode
from millrace_common.host import Host
from millrace_common.messages import Candidate
from millrace_common.simulate import Simulation
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.sqlite_runs import SqliteRuns
from millrace_trainer.service import build

TAKES_US = 60 * SECOND


async def simulated(rows: int, requests: int) -> tuple[list[Candidate], list[bytes]]:
    """Run a stream of rows with requests spread over it; return the candidates and their bytes."""
    of = deployment(training=TrainingSpec(bootstrap_rows=200, rows_max=2_000, takes_us=TAKES_US))
    clock = VirtualClock()
    bus = MemoryBus(clock, partitions=1)
    host = Host(of, bus, clock, "0", "0.1.0")
    service = build(host, rows=MemoryRows("memory://simulated"), runs=SqliteRuns.open(None))
    simulation = Simulation(bus, clock, [service])
    every = rows // requests
    for i in range(0, rows, 50):
        await simulation.advance_to(i * SECOND)
        await bus.publish([encode(message) for message in history(50, first=i)])
        if i % every == 0 and i:
            await bus.publish([encode(retrain(f"q{i}", cut=2 * i))])
        await simulation.until_quiet()
    await simulation.advance_to((rows + 100) * SECOND)
    records = bus.log["model-candidates"][0]
    candidates = [message for record in records if isinstance(message := decode(record), Candidate)]
    return candidates, [record.value or b"" for record in records]


async def test_a_stream_trains_and_retrains() -> None:
    """The bootstrap and each request give a started and a ready candidate, a run's virtual time apart."""
    candidates, _ = await simulated(rows=1_500, requests=3)
    assert [c.status for c in candidates] == ["started", "ready"] * 3
    assert [c.trigger.kind for c in candidates[::2]] == ["bootstrap", "performance", "performance"]
    for started, ready in zip(candidates[::2], candidates[1::2], strict=True):
        assert started.run_id == ready.run_id
        assert ready.finished_us == started.started_us + TAKES_US
        assert ready.data is not None
        assert ready.artifact is not None


async def test_a_replayed_stream_gives_the_same_bytes() -> None:
    """Twice the same log, twice the same candidates, artifact digests and all."""
    assert (await simulated(600, 2))[1] == (await simulated(600, 2))[1]


async def test_a_retrain_is_quick() -> None:
    """A run on 2,000 rows takes well under a second: a backtest does dozens."""
    await simulated(300, 1)
    began = time.perf_counter()
    candidates, _ = await simulated(2_600, 13)
    runs = len(candidates) // 2
    assert runs >= 12
    assert (time.perf_counter() - began) / runs < 2.0
