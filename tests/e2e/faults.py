"""Faults, one after the other, while a stream flows: processes that are killed, and that kill themselves at a place."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
from tests.e2e.checks import Truth
from tests.e2e.feed import Feed
from tests.e2e.world import World, until

from millrace_common.clock import SystemClock
from millrace_common.codec import decode
from millrace_common.failpoints import NAMES
from millrace_common.messages import Candidate

SERVICES = ("ingest", "features", "trainer", "gatekeeper", "serving", "monitor")
OUTPUTS = {"ingest": "raw-data", "features": "features", "serving": "predictions"}
"""What grows all the time where these services work."""
FLOWING_EVENTS = 300
REQUEST_SECONDS_MAX = 180.0


@dataclass
class Fault:
    """One fault and what came of it. `repeats` counts, by topic, the records that said again what was there."""

    what: str
    services: tuple[str, ...]
    at_us: int
    seconds_to_ready: float = 0.0
    repeats: dict[str, int] = field(default_factory=dict)


@dataclass
class Faults:
    """Does harm to one platform, and remembers it."""

    world: World
    feed: Feed
    folder: Path
    """Where failpoints are armed."""
    done: list[Fault] = field(default_factory=list)

    async def kill(self, service: str, times: int = 1) -> None:
        """Kill a service as it has just published something; again as it works off what has gathered meanwhile."""
        topic = OUTPUTS.get(service, "predictions")
        for time_ in range(1, times + 1):
            await self._flowing()
            await self._harmed(f"kill {time_}", (service,), lambda: self._kill_as_it_grows(topic, service))

    async def kill_twice_in_a_row(self, service: str) -> None:
        """Kill a service, and again at the first sign that it works."""
        await self._flowing()
        topic = OUTPUTS[service]

        async def harm() -> None:
            before = self.world.restarts()
            await self._kill_as_it_grows(topic, service)
            again = before[service] + 1
            await until(lambda: self.world.is_running(service, restarts=again), f"{service} again", seconds_max=60)
            await self._kill_as_it_grows(topic, service)

        await self._harmed("kill, and again as it catches up", (service,), harm, times=2)

    async def kill_all(self) -> None:
        """Kill all six at once."""
        await self._flowing()
        await self._harmed("kill all at once", SERVICES, lambda: self._kill_as_it_grows("features", *SERVICES))

    async def kill_at(self, status: Literal["started", "ready"], service: str, model: str) -> None:
        """Ask for a model and kill a service as soon as its run has started, or is ready."""
        await self._flowing()

        async def harm() -> None:
            runs = await self._runs(status)
            await self.ask_for(model)
            await self._more_runs(status, runs)
            self.world.kill(service)

        await self._harmed(f"kill as a run is {status}", (service,), harm)

    async def fail(self, service: str, place: str, *, model: str | None = None) -> None:
        """Let a service die at a place of its settling; with `model`, as it takes that model's next candidate."""
        assert place in NAMES
        await self._flowing()

        async def harm() -> None:
            if model is not None:
                runs = await self._runs("started")
                await self.ask_for(model)
                await self._more_runs("started", runs)
                await self._until_read(service, "model-candidates")
            mark = self.folder / service / place
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            await until(lambda: not mark.exists(), f"{service} at {place}", seconds_max=120)

        await self._harmed(f"failpoint {place}", (service,), harm)

    async def ask_for(self, model: str) -> None:
        """Ask the monitor for a new model, once no other request is open."""
        deadline = time.monotonic() + REQUEST_SECONDS_MAX
        async with httpx.AsyncClient(base_url=self.world.endpoints.services["monitor"]) as client:
            while (answer := await client.post(f"/v1/models/{model}/train")).status_code == httpx.codes.CONFLICT:
                assert time.monotonic() < deadline, answer.text
                await asyncio.sleep(0.2)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text

    def attribute(self, truth: Truth) -> None:
        """Count for each fault what was repeated between it and the next one."""
        for topic, records in truth.repeats.items():
            for record in records:
                before = [fault for fault in self.done if fault.at_us <= record.append_time_us + 999]
                fault = before[-1] if before else self.done[0]
                fault.repeats[topic] = fault.repeats.get(topic, 0) + 1

    async def _harmed(
        self, what: str, services: Sequence[str], harm: Callable[[], Awaitable[None]], *, times: int = 1
    ) -> None:
        before = self.world.restarts()
        fault = Fault(what, tuple(services), SystemClock().now_us())
        self.done.append(fault)
        await harm()
        began = time.monotonic()
        wanted = {service: before[service] + times - 1 for service in services}
        await self.world.restarted(wanted, *services)
        fault.seconds_to_ready = round(time.monotonic() - began, 1)

    async def _flowing(self) -> None:
        """Let the stream flow for a while, through all six."""
        await self.feed.reached(self.feed.sent + FLOWING_EVENTS)
        await self.world.grown("predictions")

    async def _kill_as_it_grows(self, topic: str, *services: str) -> None:
        await self.world.grown(topic)
        self.world.kill(*services)

    async def _runs(self, status: str) -> set[str]:
        """Return the runs that have come to a status."""
        said = [decode(record) for record in await self.world.records("model-candidates")]
        return {message.run_id for message in said if isinstance(message, Candidate) and message.status == status}

    async def _more_runs(self, status: str, runs: set[str]) -> None:
        """Return as soon as another run has come to a status."""
        deadline = time.monotonic() + REQUEST_SECONDS_MAX
        while await self._runs(status) <= runs:
            assert time.monotonic() < deadline, f"no other run is {status}"

    async def _until_read(self, service: str, topic: str) -> None:
        end = await self.world.size(topic)

        def is_read() -> bool:
            processes = [process for process in self.world.report().processes if process.name == service]
            places = [place for process in processes for place in (process.answer or {}).get("partitions", ())]
            return sum(int(place["position"]) for place in places if place["topic"] == topic) >= end

        await until(is_read, f"{service} at the end of {topic}", seconds_max=60)
