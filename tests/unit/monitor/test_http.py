"""What the monitor answers over HTTP: status, alerts, their stream, the page, and a request for training."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import httpx
import numpy as np
from tests.fakes.monitor import START_US, World, deployment

from millrace.spec import RetrainSpec
from millrace_common.bus.memory import MemoryBus
from millrace_common.clock import VirtualClock
from millrace_common.host import Host
from millrace_common.records import Outgoing
from millrace_common.simulate import Simulation
from millrace_monitor.adapters import MemoryState
from millrace_monitor.service import build


class Site:
    """A monitor that has seen a shift of one column, and its HTTP side."""

    def __init__(self) -> None:
        self.world = World(np.random.default_rng(1))
        self.clock = VirtualClock(START_US)
        self.bus = MemoryBus(self.clock)
        declared = deployment(retrain=RetrainSpec(on_performance=False))
        self.service = build(
            Host(declared, self.bus, self.clock, "0", "test"), state=MemoryState(), artifacts=self.world.artifacts
        )
        self.simulation = Simulation(self.bus, self.clock, [self.service])

    async def play(self, n: int, shift: float) -> None:
        """Publish events; the second column is shifted."""
        for _ in range(n):
            await self.bus.publish(self.world.row(right=0.8, shift=(0.0, shift, 0.0)))
            await self.simulation.advance_to(self.world.now_us)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client of the monitor."""
        assert self.service.app is not None
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.service.app), base_url="http://monitor"
        ) as client:
            yield client

    async def events(self, n: int, headers: dict[str, str], query: str = "") -> list[dict[str, str]]:
        """Read `n` server-sent events, then hang up."""
        heard, enough = bytearray(), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            heard.extend(message.get("body", b""))
            if heard.count(b"data: ") >= n:
                enough.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/alerts/stream",
            "raw_path": b"/v1/alerts/stream",
            "root_path": "",
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("test", 1),
            "server": ("monitor", 80),
        }
        assert self.service.app is not None
        async with asyncio.timeout(10):
            await self.service.app(scope, receive, send)
        blocks = [block for block in heard.decode().split("\n\n") if "data: " in block]
        return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


async def shifted() -> Site:
    """Return a site with a champion, a shift and one open incident."""
    site = Site()
    await site.bus.publish([site.world.promote()])
    await site.play(320, shift=0.0)
    await site.play(700, shift=3.0)
    return site


async def test_the_status_tells_programs_how_things_stand() -> None:
    """Champion, counts, accuracy with windows and baselines, incidents and positions are there."""
    site = await shifted()
    async with site.client() as client:
        status = (await client.get("/v1/status")).json()

    (model,) = status["models"]
    assert (model["model"], model["version"]) == ("demo", "1")
    assert model["predictions"] == model["graded"] == model["labelled"] == 1_020
    assert 0.75 < model["accuracy"] < 0.85
    assert 0.4 < model["baselines"]["last_known"] < 0.6
    assert sum(one["n"] for one in model["windows"]) == 1_020
    assert model["windows"][0].keys() == {"start_us", "end_us", "n", "accuracy", "version"}
    assert [one["kind"] for one in model["incidents"]] == ["drift"]
    assert status["positions"]["features"]["0"] == 2_040


async def test_alerts_are_listed_with_their_offsets() -> None:
    """A list behind an offset, each alert with its offset beside its own fields; nonsense is refused by name."""
    site = await shifted()
    async with site.client() as client:
        alerts = (await client.get("/v1/alerts")).json()
        rest = (await client.get("/v1/alerts", params={"after": alerts[0]["offset"]})).json()
        wrong = await client.get("/v1/alerts", params={"after": "x"})

    assert [one["offset"] for one in alerts] == list(range(len(alerts)))
    assert alerts[0]["kind"] == "drift"
    assert rest == alerts[1:]
    assert wrong.status_code == 422
    assert "after" in wrong.json()["error"]


async def test_the_stream_sends_alerts_and_resumes_behind_the_last_one_heard() -> None:
    """The id of an event is its offset; Last-Event-ID goes on exactly there, also for an alert said meanwhile."""
    site = await shifted()
    (first,) = await site.events(1, {})
    assert first["id"] == "0"
    assert json.loads(first["data"])["kind"] == "drift"

    waiting = asyncio.create_task(site.events(1, {"Last-Event-ID": "0"}))
    await asyncio.sleep(0.05)
    await site.bus.publish([site.world.promote()])
    await site.simulation.advance_to(site.clock.now_us() + 3_000_000)
    (next_one,) = await waiting

    assert next_one["id"] == "1"
    assert json.loads(next_one["data"])["state"] == "resolved"
    assert (await site.events(1, {}, query="after=0"))[0] == next_one


async def test_training_is_asked_for_once() -> None:
    """202 with the id of the request that is then published; 409 while it is open; 404 for no such model."""
    site = await shifted()
    async with site.client() as client:
        asked = await client.post("/v1/models/demo/train")
        await site.play(2, shift=3.0)
        again = await client.post("/v1/models/demo/train")
        unknown = await client.post("/v1/models/nobody/train")
        alerts = (await client.get("/v1/alerts")).json()
        status = (await client.get("/v1/status")).json()

    assert asked.status_code == 202
    assert alerts[-1]["kind"] == "retrain"
    assert alerts[-1]["retrain"]["reason"] == "manual"
    assert alerts[-1]["retrain"]["request_id"] == asked.json()["request_id"]
    assert status["models"][0]["request"]["request_id"] == asked.json()["request_id"]
    assert again.status_code == 409
    assert asked.json()["request_id"] in again.json()["error"]
    assert unknown.status_code == 404
    assert "demo" in unknown.json()["error"]


async def test_the_page_says_what_the_status_says_and_fetches_nothing_from_elsewhere() -> None:
    """Numbers stand in tables, scripts are files of our own, and the policy lets nothing else in."""
    site = await shifted()
    async with site.client() as client:
        page = await client.get("/")
        assets = [
            await client.get(f"/static/{name}")
            for name in ("status.js", "status.css", "uPlot-1.6.32.iife.min.js", "uPlot-1.6.32.min.css")
        ]
        missing = await client.get("/static/nothing.js")

    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    assert "version 1" in page.text
    assert page.text.count("data-accuracy=") == 11
    assert "warning: drift" in page.text
    assert "://" not in page.text
    assert "<script>" not in page.text
    assert "style=" not in page.text
    assert all(one.status_code == 200 for one in assets)
    assert missing.status_code == 404


async def test_an_empty_monitor_has_a_page() -> None:
    """Before anything came there is a page that says so."""
    site = Site()
    async with site.client() as client:
        page = await client.get("/")
        status = (await client.get("/v1/status")).json()

    assert "none yet" in page.text
    assert "None yet." in page.text
    assert status["models"][0]["accuracy"] is None


def test_vendored_files_are_what_was_recorded() -> None:
    """Each vendored file has the recorded digest, and its licence lies beside it."""
    folder = files("millrace_monitor.http").joinpath("static")
    lines = folder.joinpath("SHA256SUMS").read_text().splitlines()

    assert len(lines) == 3
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest
    assert "MIT" in folder.joinpath("uPlot-LICENSE.txt").read_text()


async def test_foreign_bytes_among_the_alerts_harm_nobody() -> None:
    """What is no alert is passed over: lists, streams and the page go on."""
    site = Site()
    await site.bus.publish([Outgoing("drift-alerts", b"k", value) for value in (b"\n\nnonsense", b"{}", b"")])
    await site.play(2, 0.0)
    async with site.client() as client:
        alerts = await client.get("/v1/alerts")
        page = await client.get("/")
    assert [alert for alert in alerts.json() if "alert_id" not in alert] == []
    assert page.status_code == 200
