"""The services of a deployment in one process, on a bus in memory and a virtual clock.

No thread, no socket, no task and no randomness of its own: the same input gives the same logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from millrace_common.bus.memory import MemoryBus, Seat
from millrace_common.clock import VirtualClock
from millrace_common.job import run_inline
from millrace_common.service import Job, JobFailed, Outcome, Service, Ticking

_NEVER = 1 << 63


@dataclass(slots=True)
class _Tick:
    """A tick and when it is due next. `seen` is what had happened when it last fired."""

    ticking: Ticking
    seat: Seat
    due_us: int
    seen: int = -1


@dataclass(slots=True)
class _Running:
    """A job that was started: its result is known, its end lies in virtual time."""

    job: Job
    result: bytes | JobFailed
    due_us: int


class Simulation:
    """Drains the services in the order given, fires ticks and ends jobs at their due time.

    Ticks are counted from the clock's time at construction.
    """

    def __init__(self, bus: MemoryBus, clock: VirtualClock, services: Sequence[Service]) -> None:
        self._bus = bus
        self._clock = clock
        self._services = services
        self._seats: list[Seat] = []
        self._ticks: list[_Tick] = []
        self._jobs: dict[str, _Running] = {}
        self._happened = 0
        self._opened_us = clock.now_us()
        self._next_us = _NEVER

    async def until_quiet(self) -> None:
        """Drain the services in their order, again and again, until none has anything to read."""
        if not self._seats:
            await self._open()
        while any([seat.ready for seat in self._seats]):
            for seat in self._seats:
                if seat.ready and await seat.drain():
                    self._happened += 1
                    await self._start_job(seat)

    async def advance_to(self, at_us: int) -> None:
        """Move the clock, stopping at each due tick and job end, with the services drained after each.

        A tick fires at its first due time; at a later one only if a record was appended, a batch was settled or a job
        ended since it last began: a second tick over the same state says what the first one said.
        """
        await self.until_quiet()
        while self._next_us <= at_us:
            self._clock.advance_to(self._next_us)
            await self._end_jobs()
            await self._fire_ticks(at_us)
            self._next_us = min(
                min((tick.due_us for tick in self._ticks), default=_NEVER),
                min((running.due_us for running in self._jobs.values()), default=_NEVER),
            )
        self._clock.advance_to(at_us)

    async def _open(self) -> None:
        for service in self._services:
            seat = await self._bus.seat(service)
            self._seats.append(seat)
            for ticking in service.ticks:
                self._ticks.append(_Tick(ticking, seat, self._opened_us + ticking.every_us))
        self._next_us = min((tick.due_us for tick in self._ticks), default=_NEVER)
        for seat in self._seats:
            await self._start_job(seat)

    async def _fire_ticks(self, target_us: int) -> None:
        now_us = self._clock.now_us()
        for tick in self._ticks:
            if tick.due_us > now_us:
                continue
            if tick.seen == self._events:
                late = (target_us - tick.due_us) // tick.ticking.every_us
                tick.due_us += (late + 1) * tick.ticking.every_us
                continue
            tick.seen = self._events
            await self._settle(tick.seat, await tick.ticking.handler(now_us))
            tick.due_us += tick.ticking.every_us

    @property
    def _events(self) -> int:
        return self._happened + self._bus.appended

    async def _start_job(self, seat: Seat) -> None:
        jobs = seat.service.jobs
        if jobs is None or seat.service.name in self._jobs:
            return
        job = await jobs.next()
        if job is None:
            return
        result: bytes | JobFailed
        try:
            result = run_inline(job)
        except JobFailed as failure:
            result = failure
        running = _Running(job, result, self._clock.now_us() + job.virtual_us)
        self._jobs[seat.service.name] = running
        self._next_us = min(self._next_us, running.due_us)

    async def _end_jobs(self) -> None:
        now_us = self._clock.now_us()
        for seat in self._seats:
            running = self._jobs.get(seat.service.name)
            if running is None or seat.service.jobs is None or running.due_us > now_us:
                continue
            del self._jobs[seat.service.name]
            self._happened += 1
            wanted = await seat.service.jobs.next()
            if wanted is None or wanted.id != running.job.id:
                await self._start_job(seat)
                continue
            await self._settle(seat, await seat.service.jobs.finished(running.job, running.result, now_us))

    async def _settle(self, seat: Seat, outcome: Outcome) -> None:
        await self._bus.settler.settle(outcome)
        await self._start_job(seat)
        await self.until_quiet()
