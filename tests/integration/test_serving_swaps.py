"""Hot swaps under load, over real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from tests.fakes.serving.declared import MODEL, deployment
from tests.fakes.serving.models import artifact
from tests.fakes.serving.stage import Gatekeeper, Online

from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import SystemClock
from millrace_common.host import Host
from millrace_common.service import Asgi
from millrace_serving.adapters.spool import open_spool, sending
from millrace_serving.service import build

ASK = {"entities": {"card": "4929", "merchant": "shop"}, "fields": {"amount": 12.5}}
CALLERS = 8
SWAPS = 20


@asynccontextmanager
async def listening(app: Asgi) -> AsyncIterator[str]:
    """Serve an app on a free port and yield its URL."""
    place = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[place]))
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass(slots=True)
class Seen:
    """What callers saw: (start, end, status, version, prediction id)."""

    answers: list[tuple[float, float, int, str, str]] = field(default_factory=list)
    done: bool = False

    async def ask(self, url: str) -> None:
        """Ask without pause until told to stop."""
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            while not self.done:
                start = time.perf_counter()
                response = await client.post(f"/v1/models/{MODEL}/predict", json=ASK)
                answer = response.json()
                end = time.perf_counter()
                self.answers.append(
                    (start, end, response.status_code, answer.get("version", ""), answer.get("prediction_id", ""))
                )

    async def answer_of(self, version: str) -> None:
        """Wait until a version has answered."""
        for _ in range(2_000):
            if any(answer[3] == version for answer in self.answers):
                return
            await asyncio.sleep(0.01)
        raise TimeoutError(f"version {version} never answered")


async def test_twenty_swaps_fail_no_request_and_answer_with_no_inactive_version(tmp_path: Path) -> None:
    """Every answer comes from a version that was in force at some time of its request; each is published once."""
    clock, seen = SystemClock(), Seen()
    bus, store = MemoryBus(clock), ArtifactStore.open((tmp_path / "artifacts").as_uri())
    keeper = Gatekeeper(bus, store)
    active: list[tuple[str, float, float]] = []
    async with open_spool(tmp_path / "spool", bytes_max=64 << 20) as spool, sending(spool, bus):
        service = build(Host(deployment(), bus, clock, "0", "0.1.0"), online=Online(), artifacts=store, spool=spool)
        await bus.seat(service)
        for number in range(SWAPS + 1):
            await keeper.train(str(number), artifact(number / 10))
        await keeper.promote("0")
        active.append(("0", 0.0, time.perf_counter()))
        assert service.app is not None
        async with listening(service.app) as url:
            callers = [asyncio.create_task(seen.ask(url)) for _ in range(CALLERS)]
            for number in range(1, SWAPS + 1):
                await seen.answer_of(str(number - 1))
                before = time.perf_counter()
                await keeper.promote(str(number))
                active.append((str(number), before, time.perf_counter()))
            await seen.answer_of(str(SWAPS))
            seen.done = True
            await asyncio.gather(*callers)
        await spool.emptied()

    assert [answer for answer in seen.answers if answer[2] != 200] == []
    ends = [after for _, _, after in active[1:]] + [float("inf")]
    spans = {version: (since, until) for (version, since, _), until in zip(active, ends, strict=True)}
    wrong = [a for a in seen.answers if not (spans[a[3]][0] <= a[1] and a[0] <= spans[a[3]][1])]
    assert wrong == []
    assert {answer[3] for answer in seen.answers} == set(spans), "a version never answered: the run proves too little"
    published = [record.key for partition in bus.log["predictions"] for record in partition]
    assert len(published) == len(seen.answers)
    assert len({answer[4] for answer in seen.answers}) == len(seen.answers)
