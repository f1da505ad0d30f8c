"""Redis and Kafka gone for 10 s, stopped or killed, while events come and questions are asked."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.e2e.bad_input_page import proves
from tests.e2e.live_platform import Live, Tell
from tests.e2e.live_topics import tail
from tests.e2e.live_traffic import Answered, Traffic, flowing, seen

from millrace_common.records import Record

GONE_SECONDS = 10.0
CALM_SECONDS = 2.0
BACK_SECONDS_MAX = 120.0
INGEST_SECONDS_MAX = 15.0
PREDICT_SECONDS_MAX = 5.0
SENDERS = 4
SERVICES = ("ingest", "features", "trainer", "gatekeeper", "serving", "monitor")


@proves("redis-stopped", "redis-killed", "kafka-stopped", "kafka-killed")
@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("server", ["redis", "kafka"])
@pytest.mark.timeout(400)
async def test_a_server_that_is_gone_for_a_while_loses_nothing(
    live: Live, champion: str, server: str, how: str, tell: Tell
) -> None:
    """Each event that was answered 202 has a row, each answer its record, repeats have the same bytes; all is back."""
    before = {process.name: process.restarts for process in live.status().processes}
    traffic = Traffic(live)
    senders = [lambda n=n: traffic.send_events(f"{server}-{how}-{n}") for n in range(SENDERS)]
    async with flowing(traffic, *senders, traffic.predict):
        await answered(traffic, ok, count=20)
        began = time.monotonic()
        async with gone(live, server, how):
            await answered(traffic, degraded(server), count=1)
            if how == "stopped":
                await asyncio.sleep(max(0.0, GONE_SECONDS - (time.monotonic() - began)))
        seconds_gone = time.monotonic() - began
        await all_ready(live)
        seconds_back = time.monotonic() - began - CALM_SECONDS
        await answered(traffic, ok, count=20)

    records = await kept(live, traffic)
    twice = [name for name, found in records.items() if len(found) > 1]
    restarts = {p.name: p.restarts - before[p.name] for p in live.status().processes if p.restarts != before[p.name]}
    tell(f"{server} {how}, held {seconds_gone:.1f} s, all ready after {seconds_back:.1f} s: {told(traffic)}")
    tell(f"{len(twice)} of {len(records)} records repeated; restarts {restarts}")

    assert [name for name in twice if len({record.value for record in records[name]}) > 1] == []
    assert {answer.status for answer in traffic.of("events")} <= {202, 503}
    while_started_again = {0} if "serving" in restarts else set()
    assert {answer.status for answer in traffic.of("predict")} <= {200, 503} | while_started_again
    assert max(answer.seconds for answer in traffic.of("events")) < INGEST_SECONDS_MAX
    assert max(answer.seconds for answer in traffic.of("predict")) < PREDICT_SECONDS_MAX


# --- the harm --------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def gone(live: Live, server: str, how: str) -> AsyncIterator[None]:
    """Have a server stopped while the body runs, and for as long as it takes; or kill it, and see it started again."""
    pid = live.pid(server)
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    restarts = restarts_of(live, server)
    os.kill(pid, signal.SIGKILL)
    yield
    await seen(lambda: restarts_of(live, server) > restarts, f"{server} started again", seconds_max=BACK_SECONDS_MAX)


def restarts_of(live: Live, process: str) -> int:
    """Return how often a child was started again."""
    return next(one.restarts for one in live.status().processes if one.name == process)


# --- what is waited for ----------------------------------------------------------------------------------------------
def ok(answer: Answered) -> bool:
    """Say whether all was well."""
    return answer.status in (200, 202) and not answer.content.get("flags")


def degraded(server: str) -> Callable[[Answered], bool]:
    """Return what tells that a server is gone: ingest's 503, or serving's 503 or flag."""
    if server == "kafka":
        return lambda answer: answer.kind == "events" and answer.status == 503
    return lambda answer: (
        answer.kind == "predict" and (answer.status == 503 or "store-unavailable" in answer.content["flags"])
    )


async def answered(traffic: Traffic, wanted: Callable[[Answered], bool], *, count: int) -> None:
    """Return once so many answers of those that come from now on are as wanted, of each kind where all is well."""
    begun = len(traffic.answers)
    kinds = ("events", "predict") if count > 1 else ("",)

    def enough() -> bool:
        fresh = [answer for answer in traffic.answers[begun:] if wanted(answer)]
        return all(sum(answer.kind.startswith(kind) for answer in fresh) >= count for kind in kinds)

    await seen(enough, f"{count} answers as wanted", seconds_max=BACK_SECONDS_MAX)


async def all_ready(live: Live) -> None:
    """Return once every process has been ready for a moment."""
    since = time.monotonic()
    deadline = since + BACK_SECONDS_MAX
    while time.monotonic() - since < CALM_SECONDS:
        down = [f"{one.name} is {one.state}: {one.reason}" for one in live.status().processes if one.state != "ready"]
        assert time.monotonic() < deadline, f"stays down: {down}"
        if down:
            since = time.monotonic()
        await asyncio.sleep(0.1)


# --- what is left ----------------------------------------------------------------------------------------------------
async def kept(live: Live, traffic: Traffic) -> dict[str, list[Record]]:
    """Return the row of each event and the record of each answer, by id; AssertionError where one has none."""
    bootstrap = live.endpoints.kafka_bootstrap_servers
    answers = {answer.content["prediction_id"] for answer in traffic.of("predict") if answer.status == 200}
    async with tail(bootstrap, "features") as features, tail(bootstrap, "predictions") as predictions:
        return {**await features.until_all(traffic.events), **await predictions.until_all(answers)}


def told(traffic: Traffic) -> dict[str, object]:
    """Return what callers were answered, for people."""
    statuses = {kind: dict(Counter(answer.status for answer in traffic.of(kind))) for kind in ("events", "predict")}
    flagged = sum(bool(answer.content.get("flags")) for answer in traffic.of("predict"))
    slowest = {kind: round(max(answer.seconds for answer in traffic.of(kind)), 2) for kind in ("events", "predict")}
    return {"statuses": statuses, "predict flagged": flagged, "slowest": slowest}
