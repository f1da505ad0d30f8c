"""A service of its own process for the runner's tests: copies `in` to `out`, ticks, runs a job.

python -m tests.fakes.relay
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from millrace_common.host import Host
from millrace_common.records import Batch, Outgoing
from millrace_common.run import run
from millrace_common.service import Job, JobFailed, Outcome, Service
from millrace_common.settings import CommonSettings


class Settings(CommonSettings):
    """What the test wants of it."""

    relay_job: str = ""


def double(payload: bytes) -> bytes:
    """Stand for a training."""
    return payload * 2


def fail(payload: bytes) -> bytes:
    """Stand for a training that cannot go on."""
    raise ValueError("no rows to learn from")


class Recorded:
    """One job, recorded until it is finished."""

    def __init__(self, target: str) -> None:
        self.target = target

    async def next(self) -> Job | None:
        """Return the job that is not finished."""
        return Job("only", f"tests.fakes.relay:{self.target}", b"ab") if self.target else None

    async def finished(self, job: Job, result: bytes | JobFailed, now_us: int) -> Outcome:
        """Publish the job's end."""
        self.target = ""
        text = result if isinstance(result, bytes) else str(result).encode()
        return Outcome([Outgoing("job-ends", job.id.encode(), text)])


async def relay(batch: Batch) -> Outcome:
    """Copy the batch; fail as nobody foresaw where one says `poison`."""
    if any(record.value == b"poison" for record in batch.records):
        raise ZeroDivisionError
    return Outcome([Outgoing("out", r.key, r.value, cause_offset=r.offset) for r in batch.records])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Say hello."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"hello from {os.getpid()}".encode()})


@asynccontextmanager
async def service(settings: Settings, host: Host) -> AsyncIterator[Service]:
    """Yield the service."""

    async def tick(now_us: int) -> Outcome:
        return Outcome([Outgoing("beats", None, str(now_us).encode())])

    value = Service("relay", counts=lambda: {"answers": 42}).on("in", relay).tick("beat", 200_000, tick).serve(app)
    yield value.job(Recorded(settings.relay_job)) if settings.relay_job else value


if __name__ == "__main__":
    run(service, Settings)
