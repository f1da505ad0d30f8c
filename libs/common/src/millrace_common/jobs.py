"""Jobs in a child process: one at a time, killed when they are no longer wanted, their end settled like a tick."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from dataclasses import dataclass
from pathlib import Path

import structlog

from millrace_common.clock import Clock
from millrace_common.metrics import JOBS
from millrace_common.service import Job, JobFailed, Jobs
from millrace_common.settle import Settler

log = structlog.get_logger()

_POLL_SECONDS = 0.5
_LOG_TAIL_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs what a service's jobs say is to be done. A job that they no longer name is killed without an end."""

    service: str
    jobs: Jobs
    settler: Settler
    clock: Clock
    turn: asyncio.Lock

    async def run(self) -> None:
        """Run recorded jobs until cancelled."""
        while True:
            job = await self.jobs.next()
            if job is None:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            log.info("job_started", job=job.id, target=job.target)
            result = await self._result(job)
            if result is not None:
                await self._finish(job, result)

    async def _finish(self, job: Job, result: bytes | JobFailed) -> None:
        end = "done" if isinstance(result, bytes) else "failed"
        async with self.turn:
            await self.settler.settle(await self.jobs.finished(job, result, self.clock.now_us()))
        JOBS.labels(self.service, end).inc()
        log.info("job_ended", job=job.id, end=end)

    async def _result(self, job: Job) -> bytes | JobFailed | None:
        with tempfile.TemporaryDirectory(prefix="millrace-job-") as name:
            result, output = Path(name) / "result", Path(name) / "log"
            with output.open("wb") as sink:
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "millrace_common.job", job.target, str(result), str(os.getpid()),
                    stdin=PIPE, stdout=sink, stderr=STDOUT,
                )  # fmt: skip
            try:
                wanted = await self._attend(job, child)
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            if not wanted:
                log.info("job_killed", job=job.id)
                return None
            if child.returncode == 0 and result.exists():
                return result.read_bytes()
            return JobFailed(f"exit {child.returncode}: {_tail(output)}")

    async def _attend(self, job: Job, child: Process) -> bool:
        """Feed the child and wait for its end; return False as soon as the job is no longer wanted."""
        fed = asyncio.create_task(_feed(child, job.payload))
        waiting = asyncio.create_task(child.wait())
        try:
            while True:
                done, _ = await asyncio.wait([waiting], timeout=_POLL_SECONDS)
                if done:
                    return True
                current = await self.jobs.next()
                if current is None or current.id != job.id:
                    return False
        finally:
            fed.cancel()
            waiting.cancel()


async def _feed(child: Process, payload: bytes) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(payload)
        await child.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # its exit code and log say why it closed its input
    child.stdin.close()


def _tail(output: Path) -> str:
    return output.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
