"""A service as a process: how it becomes ready, answers, stops, crashes and refuses to run."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.fakes.buses import KafkaRig, eventually

from millrace_cli.programs import tethered
from millrace_common.bus.kafka import KafkaBus
from millrace_common.errors import EXIT_CONFIGURATION, EXIT_CRASH
from millrace_common.records import Outgoing

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Relay:
    """The relay service as a process of its own."""

    process: Process
    url: str
    log: Path

    async def ready(self) -> dict[str, object]:
        """Wait until it is ready and return what it says then; the answers before must name their reason."""
        async with httpx.AsyncClient(base_url=self.url) as client, asyncio.timeout(SECONDS_MAX):
            while True:
                assert self.process.returncode is None, self.log.read_text()
                try:
                    answer = await client.get("/ready")
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    return dict(answer.json())
                assert answer.json()["reason"]
                await asyncio.sleep(0.05)

    async def get(self, path: str) -> httpx.Response:
        """Ask it something."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.get(path)

    async def ended(self) -> int:
        """Wait for its end and return the exit code, -9 where it was killed."""
        async with asyncio.timeout(SECONDS_MAX):
            return await self.process.wait()


@dataclass(frozen=True, slots=True)
class Stage:
    """Topics of the test's own, and the relay on them."""

    rig: KafkaRig
    folder: Path

    async def open(self) -> None:
        """Create the topics."""
        await self.rig.open()

    def has(self, topic: str, count: int) -> Callable[[], Awaitable[bool]]:
        """Return a question: does the topic hold that many different values?"""

        async def ask() -> bool:
            return len({record.value for record in await self.rig.records(topic)}) >= count

        return ask

    @asynccontextmanager
    async def relay(self, **settings: str) -> AsyncIterator[Relay]:
        """Start the relay; kill it in the end if it still runs."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.rig.options.bootstrap,
            "MILLRACE_TOPIC_PREFIX": self.rig.options.prefix,
            "MILLRACE_PIPELINES": "pipelines.electricity:PIPELINE",
            "MILLRACE_HTTP_PORT": str(port),
            **{f"MILLRACE_{name.upper()}": value for name, value in settings.items()},
        }
        log = self.folder / "relay.log"
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *tethered((sys.executable, "-m", "tests.fakes.relay")),
                env=environment,
                cwd=ROOT,
                stdout=sink,
                stderr=sink,
            )
        try:
            yield Relay(process, f"http://127.0.0.1:{port}", log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
def stage(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Stage:
    """A stage for the relay."""
    return Stage(KafkaRig(KafkaBus, kafka_bootstrap, topic_prefix), tmp_path)


def numbered(count: int) -> list[Outgoing]:
    """Return records of distinct keys."""
    return [Outgoing("in", str(i).encode(), str(i).encode()) for i in range(count)]


async def test_a_process_works_until_sigterm_and_exits_0(stage: Stage) -> None:
    """Ready, status, metrics, its own app, ticks and a job; then SIGTERM settles what is in flight and ends it."""
    await stage.open()
    await stage.rig.publish(numbered(300))
    async with stage.relay(relay_job="double") as relay:
        said = await relay.ready()
        assert said["service"] == "relay"
        assert said["deployment"]
        await eventually(stage.has("job-ends", 1))
        status = (await relay.get("/status")).json()
        assert sum(place["position"] for place in status["partitions"]) == 300
        assert status["counts"] == {"answers": 42}
        assert 'millrace_records_read_total{service="relay",topic="in"} 300.0' in (await relay.get("/metrics")).text
        assert (await relay.get("/anything")).text == f"hello from {relay.process.pid}"
        for _ in range(20):  # whoever is impatient changes nothing
            relay.process.send_signal(signal.SIGTERM)
        assert await relay.ended() == 0, relay.log.read_text()
    assert [record.value for record in await stage.rig.records("job-ends")] == [b"abab"]
    assert await stage.rig.records("beats")
    assert len(await stage.rig.records("out")) == 300


async def test_a_failed_job_brings_the_end_of_its_log(stage: Stage) -> None:
    """The job's traceback is what its end says; the process goes on."""
    await stage.open()
    async with stage.relay(relay_job="fail") as relay:
        await relay.ready()
        await eventually(stage.has("job-ends", 1))
        [end] = await stage.rig.records("job-ends")
        assert b"no rows to learn from" in (end.value or b"")
        assert (await relay.get("/live")).status_code == 200


@pytest.mark.parametrize("failpoint", ["published:2", "applied:2", "committing:2"])
async def test_a_killed_process_goes_on_where_it_stopped(stage: Stage, failpoint: str) -> None:
    """Killed at a failpoint and started again, nothing is missing; what was in flight comes twice, with equal bytes."""
    await stage.open()
    await stage.rig.publish(numbered(300))
    async with stage.relay(failpoints=failpoint, batch_records_max="50") as relay:
        assert await relay.ended() == -signal.SIGKILL
    before = await stage.rig.records("out")
    async with stage.relay(batch_records_max="50") as relay:
        await relay.ready()
        await eventually(stage.has("out", 300))
    after = await stage.rig.records("out")
    assert len(before) >= 100
    assert len(after) > 300
    assert {record.value for record in after} == {str(i).encode() for i in range(300)}


async def test_an_error_ends_the_process_with_70(stage: Stage) -> None:
    """Anything that is not foreseen is logged with its trace, and the supervisor starts the process again."""
    await stage.open()
    await stage.rig.publish([Outgoing("in", b"k", b"poison")])
    async with stage.relay() as relay:
        assert await relay.ended() == EXIT_CRASH
        text = relay.log.read_text()
    assert "process_crashes" in text
    assert "ZeroDivisionError" in text


async def test_what_a_person_must_mend_ends_it_with_78(stage: Stage) -> None:
    """A missing topic, a pipeline that does not load, a setting that cannot be: 78, and a line that names the mend."""
    wrong = {
        "millrace topics create": {},
        "no_such": {"pipelines": "no_such.module:PIPELINE"},
        "MILLRACE_FAILPOINTS": {"failpoints": "elsewhere:1"},
        "batch_records_max": {"batch_records_max": "0"},
    }
    for mend, settings in wrong.items():
        async with stage.relay(**settings) as relay:
            assert await relay.ended() == EXIT_CONFIGURATION, relay.log.read_text()
            assert mend in relay.log.read_text()


async def test_a_taken_port_ends_it_with_70(stage: Stage) -> None:
    """The port may be free again soon: the supervisor tries again."""
    await stage.open()
    async with stage.relay() as first:
        await first.ready()
        port = first.url.rsplit(":", 1)[1]
        async with stage.relay(http_port=port) as second:
            assert await second.ended() == EXIT_CRASH
        assert "cannot listen" in first.log.read_text()
