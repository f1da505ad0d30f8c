"""Callers of a running platform: events and questions on keep-alive connections, each answer noted with its times."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from tests.e2e.live_platform import ANSWER_SECONDS_MAX, Live, payment

from millrace_common.clock import SystemClock

PAUSE_SECONDS = 0.01
LOOK_SECONDS = 0.02
COLUMNS = 12
CLOCK = SystemClock()


@dataclass(frozen=True)
class Answered:
    """One request: when it was made and answered by the wall clock, its status, and what the answer says."""

    kind: str
    started_us: int
    ended_us: int
    status: int
    content: Any

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return (self.ended_us - self.started_us) / 1e6

    @property
    def version(self) -> str:
        """Return the version that answered; empty where none did."""
        return str(self.content.get("version") or self.content.get("model_version") or "")


@dataclass
class Traffic:
    """What callers asked and were answered. `events` are the ids that ingest has said yes to."""

    live: Live
    answers: list[Answered] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    over: bool = False
    _sent: int = 0

    def of(self, kind: str) -> list[Answered]:
        """Return the answers of one kind."""
        return [answer for answer in self.answers if answer.kind == kind]

    async def send_events(self, name: str) -> None:
        """Send a payment at a time; one that is not taken is sent again until it is."""
        async with self._client("ingest") as client:
            while not self.over:
                self._sent += 1
                event = payment(f"{name}-{self._sent}", f"{name}-card-{self._sent % 50}")
                body = msgspec.json.encode(event)
                status = 0
                while status != httpx.codes.ACCEPTED:
                    status = (await self._asked("events", client, "/v1/events", body)).status
                    await asyncio.sleep(PAUSE_SECONDS)
                self.events.append(str(event["txn_id"]))

    async def predict(self) -> None:
        """Ask by entity."""
        ask = msgspec.json.encode({"entities": {"card": "c1"}, "fields": {"amount": 20.0, "online": True}})
        await self._repeat("predict", "/v1/models/fraud/predict", ask)

    async def infer(self) -> None:
        """Ask with rows of the view's columns."""
        row = {"name": "features", "shape": [1, COLUMNS], "datatype": "FP32", "data": [1.0] * COLUMNS}
        await self._repeat("infer", "/v2/models/fraud/infer", msgspec.json.encode({"inputs": [row]}))

    async def _repeat(self, kind: str, path: str, body: bytes) -> None:
        async with self._client("serving") as client:
            while not self.over:
                await self._asked(kind, client, path, body)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _asked(self, kind: str, client: httpx.AsyncClient, path: str, body: bytes) -> Answered:
        started_us = CLOCK.now_us()
        try:
            response = await client.post(path, content=body)
            status, content = response.status_code, response.json()
        except httpx.HTTPError as error:
            status, content = 0, {"error": repr(error)}
        answered = Answered(kind, started_us, CLOCK.now_us(), status, content)
        self.answers.append(answered)
        return answered

    def _client(self, service: str) -> httpx.AsyncClient:
        """Return a client of one connection."""
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        return httpx.AsyncClient(base_url=self.live.url(service), timeout=ANSWER_SECONDS_MAX, limits=limits)


@asynccontextmanager
async def flowing(traffic: Traffic, *callers: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Let callers ask while the body runs; they finish what they have begun."""
    async with asyncio.TaskGroup() as tasks:
        for caller in callers:
            tasks.create_task(caller())
        try:
            yield
        finally:
            traffic.over = True


async def seen(look: Callable[[], bool], what: str, *, seconds_max: float) -> None:
    """Return once something holds; AssertionError past the deadline."""
    deadline = time.monotonic() + seconds_max
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds_max:g} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)
