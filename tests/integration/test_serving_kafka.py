"""Serving between real topics: promotions and rows in, each prediction out once by effect, also after a crash."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from tests.fakes.serving.declared import deployment, row
from tests.fakes.serving.models import artifact
from tests.fakes.serving.stage import Gatekeeper, Online

from millrace_common.artifacts import ArtifactStore
from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import SystemClock
from millrace_common.codec import encode
from millrace_common.failpoints import Failpoints
from millrace_common.host import Host
from millrace_common.messages import Prediction
from millrace_common.records import Batch
from millrace_common.service import Service
from millrace_common.topics import FEATURES, PREDICTIONS, PROMOTIONS
from millrace_serving.service import build

ROWS = 400


class Killed(Exception):
    """Stands for kill -9 within one process."""


def die() -> None:
    """End the run at a failpoint."""
    raise Killed


async def serve(options: KafkaOptions, store: ArtifactStore, failpoints: Failpoints) -> None:
    """Run a serving process that scores the stream, until it dies or is cancelled."""
    async with KafkaBus(options, failpoints=failpoints) as bus:
        host = Host(deployment(), bus, SystemClock(), options.instance, "0.1.0")
        await bus.run(build(host, online=Online(), artifacts=store))


async def read_until(options: KafkaOptions, row_ids: set[str]) -> list[tuple[bytes, Prediction]]:
    """Read the predictions from their start until every row has one; return all that were read."""
    found: list[tuple[bytes, Prediction]] = []
    whole = asyncio.Event()

    async def take(batch: Batch) -> None:
        values = [record.value or b"" for record in batch.records]
        found.extend((value, msgspec.json.decode(value, type=Prediction)) for value in values)
        if {made.row_id for _, made in found} >= row_ids:
            whole.set()

    async with KafkaBus(options) as bus, asyncio.timeout(60):
        reading = asyncio.create_task(bus.run(Service("reader").follow(PREDICTIONS.name, take)))
        await whole.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return found


async def test_each_row_has_one_effective_prediction_after_a_crash(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A process that dies between publish and commit scores its batch again: same ids, same scores."""
    options = KafkaOptions(kafka_bootstrap, topic_prefix, batch_records_max=40, session_seconds=6.0)
    await create_topics(kafka_bootstrap, (FEATURES, PREDICTIONS, PROMOTIONS), prefix=topic_prefix, partitions=2)
    store = ArtifactStore.open((tmp_path / "artifacts").as_uri())
    rows = [row(number, card=f"card-{number % 17}", amount=float(number)) for number in range(ROWS)]
    async with KafkaBus(options) as bus:
        keeper = Gatekeeper(bus, store)
        await keeper.train("1", artifact(0.0))
        await keeper.promote("1")
        await bus.publish([encode(each) for each in rows])

    with pytest.raises(Killed):
        await serve(options, store, Failpoints({"published": 3}, die))
    serving = asyncio.create_task(serve(options, store, Failpoints()))
    found = await read_until(options, {each.row_id for each in rows})
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)

    times = Counter(made.prediction_id for _, made in found)
    assert len(times) == ROWS
    assert max(times.values()) > 1, "nothing was scored twice: the run proves nothing"
    scores = {(made.prediction_id, made.score) for _, made in found}
    assert len(scores) == ROWS
    assert {made.version for _, made in found} == {"1"}
