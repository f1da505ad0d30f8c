"""The parts of the runner, each by itself: settle, failpoints, jobs, ticks, probes, watchdog."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from tests.fakes.buses import until

from millrace_common.bus.lane import Lane
from millrace_common.bus.standing import Followed, Standing
from millrace_common.clock import SystemClock
from millrace_common.errors import Misconfigured
from millrace_common.failpoints import Failpoints
from millrace_common.jobs import JobRunner
from millrace_common.messages import Position
from millrace_common.probes import Probes
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.service import Job, JobFailed, Outcome, Subscription
from millrace_common.settings import CommonSettings
from millrace_common.settle import Settler
from millrace_common.together import together, within
from millrace_common.watchdog import Watchdog

AT = TopicPartition("in", 0)


class Publisher:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        self.published.extend(records)
        return []

    async def partitions(self, topic: str) -> int:
        return 1


class Died(BaseException):
    """Stands for the process's death."""


def die() -> None:
    """Stand for SIGKILL."""
    raise Died


async def unused(batch: Batch) -> Outcome:
    """Handle nothing."""
    return Outcome()


def lane(position: int, end: int) -> Lane:
    """Return a lane that stands somewhere."""
    return Lane("s", Subscription("in", unused), AT, position, 0, end)


@pytest.mark.parametrize(("failpoint", "done"), [("published", "p"), ("applied", "pa"), ("committing", "pa")])
async def test_a_failpoint_kills_at_its_place(failpoint: str, done: str) -> None:
    """The nth pass of a named place is the last thing that the process does."""
    publisher, applied, committed = Publisher(), list[str](), list[str]()

    async def apply() -> None:
        applied.append("a")

    async def commit() -> None:
        committed.append("c")

    settler = Settler(publisher, Failpoints({failpoint: 2}, die))
    outcome = Outcome([Outgoing("out", None, b"")], apply)
    await settler.settle(outcome, commit=commit)
    with pytest.raises(Died):
        await settler.settle(outcome, commit=commit)
    assert "p" * len(publisher.published) + "".join(applied + committed) == "pp" + "a" * done.count("a") + "ac"


def test_failpoints_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`published:7,applied:1` is understood; a name that does not exist is refused, and so is a count that is none."""
    monkeypatch.setenv("MILLRACE_FAILPOINTS", "published:7,applied:1")
    assert CommonSettings().failpoints == {"published": 7, "applied": 1}
    with pytest.raises(Misconfigured, match="publishing"):
        Failpoints({"publishing": 1})
    monkeypatch.setenv("MILLRACE_FAILPOINTS", "published")
    with pytest.raises(ValidationError):
        CommonSettings()


def double(payload: bytes) -> bytes:
    """Stand for a training."""
    return payload * 2


def fail(payload: bytes) -> bytes:
    """Stand for a training that cannot go on."""
    raise ValueError("no rows to learn from")


def sleep(payload: bytes) -> bytes:
    """Stand for a training that takes its time."""
    time.sleep(60)
    return payload


class Recorded:
    """Jobs as a service records them."""

    def __init__(self, *targets: str) -> None:
        self.todo = [Job(target, f"{__name__}:{target}", b"x" * 100_000) for target in targets]
        self.ends: list[bytes | JobFailed] = []

    async def next(self) -> Job | None:
        return self.todo[0] if self.todo else None

    async def finished(self, job: Job, result: bytes | JobFailed, now_us: int) -> Outcome:
        self.ends.append(result)
        self.todo.remove(job)
        return Outcome([Outgoing("ends", None, job.id.encode())])


async def test_jobs_run_in_a_child_one_after_the_other() -> None:
    """A result comes back whole; a failure brings the end of its log; each end is settled."""
    jobs, publisher = Recorded("double", "fail"), Publisher()
    runner = JobRunner("s", jobs, Settler(publisher, Failpoints()), SystemClock(), asyncio.Lock())
    task = asyncio.create_task(runner.run())
    await until(lambda: len(jobs.ends) == 2, task)
    task.cancel()
    assert jobs.ends[0] == b"x" * 200_000
    assert isinstance(jobs.ends[1], JobFailed)
    assert "no rows to learn from" in str(jobs.ends[1])
    assert [record.value for record in publisher.published] == [b"double", b"fail"]


async def test_a_job_that_is_no_longer_recorded_is_killed_without_an_end() -> None:
    """Cancelling a run is forgetting it: the child ends soon, the next job runs."""
    jobs = Recorded("sleep")
    runner = JobRunner("s", jobs, Settler(Publisher(), Failpoints()), SystemClock(), asyncio.Lock())
    task = asyncio.create_task(runner.run())
    await asyncio.sleep(0.3)
    jobs.todo = [Job("double", f"{__name__}:double", b"a")]
    await until(lambda: bool(jobs.ends), task)
    task.cancel()
    assert jobs.ends == [b"aa"]


async def get(probes: Probes, path: str) -> tuple[int, Any]:
    """Ask the probes and return status and body."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await probes({"type": "http", "path": path}, None, send)
    body = sent[1]["body"]
    return sent[0]["status"], json.loads(body) if body.startswith(b"{") else body.decode()


async def test_probes_say_ready_only_when_it_is_so() -> None:
    """503 and the reason before, 200 after, 503 again from the signal on; live all the while."""
    standing = Standing()
    probes = Probes("s", "0", "hash", lambda: standing)
    assert await get(probes, "/ready") == (
        503,
        {"service": "s", "instance": "0", "deployment": "hash", "ready": False,
         "reason": "waiting for the logs it follows"},
    )  # fmt: skip
    standing.ready.set()
    assert (await get(probes, "/ready"))[0] == 200
    probes.stopping = True
    assert (await get(probes, "/ready"))[1]["reason"] == "stopping"
    assert (await get(probes, "/live"))[0] == 200


async def test_status_shows_every_partition_and_the_counts() -> None:
    """Followed and subscribed partitions stand there with position and end; the service's counts beside them."""
    standing = Standing()
    standing.lanes[AT] = lane(3, 9)
    log = TopicPartition("log", 0)
    standing.followed[log] = Followed(log, 2, 2, 2)
    _, body = await get(Probes("s", "0", "hash", lambda: standing, lambda: {"rows": 7}), "/status")
    assert body["partitions"] == [
        {"topic": "in", "partition": 0, "position": 3, "end": 9},
        {"topic": "log", "partition": 0, "position": 2, "end": 2},
    ]
    assert body["counts"] == {"rows": 7}


async def test_probes_hand_other_requests_to_the_service() -> None:
    """The service's app answers everything else; without one it is a 404 that says so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 202})
        await send({"type": "http.response.body", "body": b"taken"})

    assert await get(Probes("s", "0", "h", Standing, app=app), "/v1/events") == (202, "taken")
    assert await get(Probes("s", "0", "h", Standing), "/v1/events") == (404, {"error": "s has no /v1/events"})


async def test_metrics_show_the_lag() -> None:
    """The lag of each partition is measured when it is asked for."""
    standing = Standing()
    standing.lanes[AT] = lane(3, 9)
    _, body = await get(Probes("s", "0", "h", lambda: standing), "/metrics")
    assert 'millrace_lag_records{partition="0",topic="in"} 6.0' in body


def test_the_watchdog_sees_a_partition_that_does_not_get_on() -> None:
    """R10: lag without progress is a stall; no lag, or progress however slow, is none."""
    standing, time_s = Standing(), [0.0]
    watchdog = Watchdog(lambda: standing, 60.0, now=lambda: time_s[0])

    def after(seconds: int, position: int, end: int) -> str | None:
        standing.lanes[AT] = lane(position, end)
        for _ in range(seconds):
            time_s[0] += 1.0
            watchdog.note()
        return watchdog.stalled(time_s[0])

    assert after(300, 3, 3) is None
    assert after(60, 3, 9) is None
    assert after(2, 3, 9) == "in[0] has lag and stays at 3"
    assert all(after(50, position, 9) is None for position in range(4, 9))


def test_the_watchdog_sees_a_loop_that_does_not_turn() -> None:
    """R10: a loop that is blocked notes nothing, and its thread looks on."""
    time_s = [0.0]
    watchdog = Watchdog(Standing, 60.0, now=lambda: time_s[0])
    watchdog.note()
    assert watchdog.stalled(59.0) is None
    assert watchdog.stalled(61.0) == "the event loop does not turn"


async def test_the_watchdog_ends_the_process_from_its_thread() -> None:
    """R10: a blocked loop cannot end itself."""
    ended: list[str] = []
    watchdog = Watchdog(Standing, 0.2, end=lambda: ended.append("ended"), look_seconds=0.02)
    task = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0.05)
    time.sleep(1.0)  # noqa: ASYNC251  the loop is blocked on purpose
    task.cancel()
    await asyncio.wait([task])
    assert ended == ["ended"]


async def test_what_lives_together_dies_together() -> None:
    """The first error ends the others, and their cleaning up is not cut short."""
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append("work")

    async def fail_soon() -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await together(work(), fail_soon())
    assert cleaned == ["work"]
    task = asyncio.create_task(together(work(), work()))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert cleaned == ["work"] * 3


async def test_closing_something_has_a_deadline_even_if_it_swallows_cancellation() -> None:
    """A library that hangs in its close, deaf to cancellation, does not hang the process."""

    async def deaf() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(0.3)
            except asyncio.CancelledError:
                continue

    started = time.monotonic()
    await within(0.05, deaf())
    assert time.monotonic() - started < 0.2
