"""The simulation and the bus in memory."""

import time
from collections.abc import Awaitable, Callable

from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.records import Batch, Outgoing
from millrace_common.service import Job, JobFailed, Outcome, Service
from millrace_common.simulate import Simulation

SECOND = 1_000_000


def relay(source: str, target: str) -> Callable[[Batch], Awaitable[Outcome]]:
    """Copy each record to another topic."""

    async def handler(batch: Batch) -> Outcome:
        return Outcome([Outgoing(target, r.key, r.value, cause_offset=r.offset) for r in batch.records])

    return handler


def double(payload: bytes) -> bytes:
    """Stand for a training."""
    return payload * 2


def fail(payload: bytes) -> bytes:
    """Stand for a training that ends without a result."""
    raise JobFailed(payload.decode())


class OneJob:
    """A trainer's recorded job."""

    def __init__(self, clock: VirtualClock, target: str) -> None:
        self.clock = clock
        self.target = target
        self.wanted = False
        self.ends: list[tuple[int, bytes | str]] = []

    async def ask(self, batch: Batch) -> Outcome:
        async def record() -> None:
            self.wanted = True

        return Outcome(apply=record)

    async def next(self) -> Job | None:
        return Job("j", f"{__name__}:{self.target}", b"ab") if self.wanted else None

    async def finished(self, job: Job, result: bytes | JobFailed, now_us: int) -> Outcome:
        self.ends.append((now_us, result if isinstance(result, bytes) else str(result)))
        self.wanted = False
        return Outcome([Outgoing("done", b"j", b"x")])


async def test_a_record_runs_through_the_services_until_quiet() -> None:
    """Services that feed one another are drained until nothing is left, whatever their order."""
    clock = VirtualClock(7)
    bus = MemoryBus(clock)
    later = Service("later").on("b", relay("b", "c"))
    sim = Simulation(bus, clock, [later, Service("first").on("a", relay("a", "b"))])
    await bus.publish([Outgoing("a", b"k", b"v")])
    await sim.until_quiet()
    [record] = bus.log["c"][0]
    assert (record.value, record.append_time_us) == (b"v", 7)


async def test_followers_have_read_a_record_when_its_publish_returns() -> None:
    """A followed log is handed over at publish time, and whole at the start."""
    clock = VirtualClock()
    bus = MemoryBus(clock)
    await bus.publish([Outgoing("promotions", b"m", b"1")])
    seen: list[bytes | None] = []

    async def follow(batch: Batch) -> None:
        seen.extend(r.value for r in batch.records)

    sim = Simulation(bus, clock, [Service("s").follow("promotions", follow)])
    await sim.until_quiet()
    assert seen == [b"1"]
    await bus.publish([Outgoing("promotions", b"m", b"2")])
    assert seen == [b"1", b"2"]


async def test_ticks_fire_at_their_due_time_and_rest_while_nothing_happens() -> None:
    """A tick fires when due, its outcome is settled, and it is not repeated over an unchanged state."""
    clock = VirtualClock()
    bus = MemoryBus(clock)
    fired: list[int] = []

    async def tick(now_us: int) -> Outcome:
        fired.append(now_us)
        return Outcome([Outgoing("t", None, b"")] if len(fired) < 3 else ())

    sim = Simulation(bus, clock, [Service("s").tick("beat", SECOND, tick)])
    await sim.advance_to(3 * SECOND // 2)
    assert fired == [SECOND]
    await sim.advance_to(100 * SECOND + 1)
    assert fired == [SECOND, 2 * SECOND, 3 * SECOND]
    await bus.publish([Outgoing("t", None, b"")])
    await sim.advance_to(101 * SECOND)
    assert fired[3:] == [101 * SECOND]
    assert clock.now_us() == 101 * SECOND


async def test_a_job_occupies_virtual_time() -> None:
    """A job starts when the outcome that recorded it is settled; its end comes `virtual_us` later."""
    clock = VirtualClock(5)
    bus = MemoryBus(clock)
    jobs = OneJob(clock, "double")
    sim = Simulation(bus, clock, [Service("trainer").on("asks", jobs.ask).job(jobs)])
    await bus.publish([Outgoing("asks", b"m", b"")])
    await sim.advance_to(5 + 60 * SECOND - 1)
    assert jobs.ends == []
    await sim.advance_to(5 + 60 * SECOND)
    assert jobs.ends == [(5 + 60 * SECOND, b"abab")]
    assert bus.log["done"][0][0].append_time_us == 5 + 60 * SECOND


async def test_a_failed_job_is_delivered_as_its_failure() -> None:
    """A job without a result ends with JobFailed, not with the end of the simulation."""
    clock = VirtualClock()
    bus = MemoryBus(clock)
    jobs = OneJob(clock, "fail")
    sim = Simulation(bus, clock, [Service("trainer").on("asks", jobs.ask).job(jobs)])
    await bus.publish([Outgoing("asks", b"m", b"")])
    await sim.advance_to(61 * SECOND)
    assert [end for _, end in jobs.ends] == ["ab"]


async def test_two_runs_give_the_same_bytes() -> None:
    """The same input gives the same logs, append times included."""

    async def once() -> list[object]:
        clock = VirtualClock()
        bus = MemoryBus(clock, 4)
        sim = Simulation(bus, clock, [Service("x").on("a", relay("a", "b")), Service("y").on("b", relay("b", "c"))])
        for i in range(200):
            await sim.advance_to(i * SECOND)
            await bus.publish([Outgoing("a", str(i % 17).encode(), str(i).encode())])
            await sim.until_quiet()
        return [bus.log[topic] for topic in "abc"]

    assert await once() == await once()


async def test_an_idle_instant_costs_microseconds() -> None:
    """A backtest of 90,000 instants must not pay for services that have nothing to do."""
    clock = VirtualClock()
    bus = MemoryBus(clock, 4)

    async def tick(now_us: int) -> Outcome:
        return Outcome()

    services = [
        Service(f"s{i}").on("a", relay("a", "b")).on(f"c{i}", relay("c", "d")).tick("t", SECOND, tick) for i in range(6)
    ]
    sim = Simulation(bus, clock, services)
    await sim.until_quiet()
    started = time.process_time()
    for i in range(20_000):
        await sim.advance_to(i)
        await sim.until_quiet()
    assert (time.process_time() - started) / 20_000 < 20e-6
