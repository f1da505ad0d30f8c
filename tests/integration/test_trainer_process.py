"""The trainer as a process on a real Kafka: killed at its worst moments, it loses nothing and doubles nothing."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
from aiokafka import AIOKafkaConsumer

from millrace.spec import Scalar
from millrace_cli.programs import tethered
from millrace_common import topics
from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.codec import decode, encode
from millrace_common.messages import Candidate, FeatureRow, Label, Position
from millrace_common.records import Record
from millrace_trainer.adapters.delta_rows import read_entries

ROOT = Path(__file__).parents[2]
ROWS = 1_100
SECONDS_MAX = 120
COLUMNS = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


def stream(n: int) -> list[FeatureRow | Label]:
    """Return rows of the electricity pipeline, each with its label."""
    rng = np.random.default_rng(0)
    messages: list[FeatureRow | Label] = []
    for i in range(n):
        fields: dict[str, Scalar] = {name: float(np.float32(rng.random())) for name in COLUMNS}
        place = Position(topic="raw-data", partition=0, offset=i)
        messages.append(
            FeatureRow(
                row_id=f"r{i}", event_type="market_row", event_id=str(i), entity_type="market", entity_id=f"m{i % 9}",
                spine=True, event_time_us=i, append_time_us=i, source=place, groups={}, fields=fields,
            )
        )  # fmt: skip
        messages.append(
            Label(
                label_id=f"l{i}", name="price_up", event_type="market_row", event_id=str(i), source_event_id=f"o{i}",
                value=bool(rng.random() < float(fields["nswprice"] or 0)), seen_time_us=i, append_time_us=i,
                source=place,
            )
        )  # fmt: skip
    return messages


class Place:
    """A topic prefix, a home folder and a port for one trainer."""

    def __init__(self, bootstrap: str, prefix: str, home: Path) -> None:
        self.bootstrap, self.prefix, self.home = bootstrap, prefix, home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @asynccontextmanager
    async def trainer(self, failpoints: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the trainer's own program; it is killed at the end."""
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "MILLRACE_TOPIC_PREFIX": self.prefix,
            "MILLRACE_HOME": str(self.home),
            "MILLRACE_PIPELINES": "pipelines.electricity:PIPELINE",
            "MILLRACE_HTTP_PORT": str(self.port),
            "MILLRACE_FAILPOINTS": failpoints,
            "MILLRACE_BATCH_RECORDS_MAX": "150",
        }
        child = await asyncio.create_subprocess_exec(
            *tethered((sys.executable, "-m", "millrace_trainer")), cwd=ROOT, env={**os.environ, **settings}
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()

    async def candidates(self, *statuses: str) -> list[Candidate]:
        """Return the candidates on the topic once the last ones have these statuses."""
        consumer = AIOKafkaConsumer(
            f"{self.prefix}model-candidates", bootstrap_servers=self.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: list[Candidate] = []
        try:
            async with asyncio.timeout(SECONDS_MAX):
                async for read in consumer:
                    message = decode(
                        Record("model-candidates", 0, read.offset, read.key, read.value, tuple(read.headers), 0)
                    )
                    assert isinstance(message, Candidate)
                    found.append(message)
                    if tuple(c.status for c in found[-len(statuses) :]) == statuses:
                        return found
        finally:
            await consumer.stop()
        raise AssertionError("the log ended")


async def filled(place: Place) -> None:
    """Create the topics and publish the stream."""
    await create_topics(place.bootstrap, topics.of_deployment(()), prefix=place.prefix, partitions=2)
    async with KafkaBus(KafkaOptions(place.bootstrap, prefix=place.prefix)) as bus:
        await bus.publish([encode(message) for message in stream(ROWS)])


async def test_killed_between_apply_and_commit_no_row_doubles(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Die after the table's commit and before Kafka's; then every row and label is there exactly once.

    The run that was recorded goes on after a kill in the middle of it, under the same id, to an artifact that verifies.
    """
    place = Place(kafka_bootstrap, topic_prefix, tmp_path)
    await filled(place)
    async with place.trainer("applied:3") as child, asyncio.timeout(SECONDS_MAX):
        assert await child.wait() == -signal.SIGKILL
    seen = sum(1 for _ in read_entries(str(tmp_path / "trainer" / "rows"), event_type="market_row"))
    assert 0 < seen < 2 * ROWS
    async with place.trainer() as child:
        started = (await place.candidates("started"))[-1]
        child.kill()
        await child.wait()
    async with place.trainer() as child, httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.port}") as http:
        ready = (await place.candidates("ready"))[-1]
        assert ready.run_id == started.run_id
        runs = (await http.get("/v1/runs")).json()["runs"]
        assert [run["status"] for run in runs] in (["started"], ["ready"])
        found: list[tuple[int, int]] = []
        async with asyncio.timeout(SECONDS_MAX):
            while len(found) < 2 * ROWS:
                await asyncio.sleep(0.2)
                entries = read_entries(str(tmp_path / "trainer" / "rows"), event_type="market_row")
                found = [(partition, offset) for partition, offset, _ in entries]
    assert len(found) == len(set(found)) == 2 * ROWS
    assert ready.artifact is not None
    files = await ArtifactStore.open((tmp_path / "artifacts").as_uri()).get(ready.artifact.uri, ready.artifact.digest)
    assert "model.onnx" in files
