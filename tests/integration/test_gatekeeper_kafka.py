"""The gatekeeper on a real Kafka: candidates in, one chain of promotions, across restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.fakes.gatekeeper import MODEL, MemoryArtifacts, World, artifact_files, candidate, deployment

from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import SystemClock
from millrace_common.codec import decode, encode
from millrace_common.errors import Fenced
from millrace_common.host import Host
from millrace_common.messages import Candidate, Promotion
from millrace_common.records import Batch
from millrace_common.service import Service
from millrace_common.topics import MODEL_CANDIDATES, PROMOTIONS, dead_letters
from millrace_gatekeeper.service import build

GOOD, BETTER, BAD = (2.0, 1.0), (4.0, 0.0), (0.0, 4.0)
SECONDS_MAX = 60.0


@asynccontextmanager
async def running(
    options: KafkaOptions, artifacts: MemoryArtifacts
) -> AsyncIterator[tuple[KafkaBus, httpx.AsyncClient]]:
    """Run a gatekeeper until the block ends; yield its bus and a client of its HTTP."""
    async with KafkaBus(options) as bus:
        service = build(Host(deployment(), bus, SystemClock(), options.instance, "test"), artifacts=artifacts)
        assert service.app is not None
        task = asyncio.create_task(bus.run(service))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://g") as client:
            try:
                yield bus, client
            finally:
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def steps(options: KafkaOptions, wanted: int) -> list[Promotion]:
    """Read promotions from its start until there are `wanted`."""
    found: list[Promotion] = []
    enough = asyncio.Event()

    async def take(batch: Batch) -> None:
        found.extend(step for record in batch.records if isinstance(step := decode(record), Promotion))
        if len(found) >= wanted:
            enough.set()

    async with KafkaBus(options) as bus:
        task = asyncio.create_task(bus.run(Service("reader").follow(PROMOTIONS.name, take)))
        async with asyncio.timeout(SECONDS_MAX):
            await enough.wait()
        task.cancel()
        await asyncio.wait([task])
    return found


async def opened(kafka_bootstrap: str, topic_prefix: str) -> KafkaOptions:
    """Create the gatekeeper's topics under the prefix."""
    topics = (MODEL_CANDIDATES, PROMOTIONS, dead_letters(MODEL_CANDIDATES.name))
    await create_topics(kafka_bootstrap, topics, prefix=topic_prefix)
    return KafkaOptions(kafka_bootstrap, prefix=topic_prefix)


def offered(artifacts: MemoryArtifacts, weights: tuple[float, float], seed: int) -> Candidate:
    """Return a candidate whose gate rows no other has seen."""
    world = World(seed=seed, start_us=seed * 10**12)
    return candidate(artifacts, artifact_files(weights, world), gate_from_us=world.start_us)


async def test_a_chain_grows_across_restarts_and_a_replay_adds_nothing(kafka_bootstrap: str, topic_prefix: str) -> None:
    """Without state of its own: the committed offset and the fold of promotions are all that a restart needs."""
    options, artifacts = await opened(kafka_bootstrap, topic_prefix), MemoryArtifacts()
    first = offered(artifacts, GOOD, 1)
    async with running(options, artifacts) as (bus, _):
        await bus.publish([encode(first)])
        await steps(options, 1)
    async with running(options, artifacts) as (bus, client):
        await bus.publish([encode(one) for one in (first, offered(artifacts, BETTER, 2), offered(artifacts, BAD, 3))])
        await steps(options, 3)
        rolled = await client.post(f"/v1/models/{MODEL}/rollback", json={"reason": "test"})
        shown = (await client.get(f"/v1/models/{MODEL}")).json()
    async with running(options, artifacts) as (bus, _):
        await bus.publish([encode(first), encode(offered(artifacts, BETTER, 4))])
        found = await steps(options, 5)

    assert rolled.status_code == 200, rolled.text
    assert [step["epoch"] for step in shown["history"]] == [1, 2, 3, 4]
    assert [step.to_state for step in found] == ["champion", "champion", "rejected", "rolled_back", "champion"]
    assert [step.version for step in found] == ["1", "2", "3", "2", "4"]
    assert [step.epoch for step in found] == [1, 2, 3, 4, 5]
    assert len({step.prev for step in found}) == 5


async def test_two_gatekeepers_leave_one_chain(kafka_bootstrap: str, topic_prefix: str) -> None:
    """A zombie that decides the same candidate writes a void record and ends; readers fold one chain (R6)."""
    options, artifacts = await opened(kafka_bootstrap, topic_prefix), MemoryArtifacts()
    made = offered(artifacts, GOOD, 1)
    zombie = KafkaOptions(kafka_bootstrap, prefix=topic_prefix, instance="zombie")
    async with KafkaBus(zombie) as bus:
        blind = build(Host(deployment(), bus, SystemClock(), "zombie", "test"), artifacts=artifacts)
        record = encode(made)
        handler, follower = blind.subscriptions[0].handler, blind.followings[0].handler
        async with running(options, artifacts) as (other, _):
            (place,) = await other.publish([record])
            await steps(options, 1)
        taken = await _batch_of(options, place.offset)
        outcome = await handler(taken)
        await bus.publish(list(outcome.publish))
        seen: list[Batch] = []

        async def keep(batch: Batch) -> None:
            seen.append(batch)
            await follower(batch)

        reading = asyncio.create_task(bus.run(Service("zombie-reader").follow(PROMOTIONS.name, keep)))
        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(Fenced, match="came first"):
                await outcome.apply()
        reading.cancel()
        await asyncio.wait([reading])

    found = await steps(options, 2)
    assert [(step.epoch, step.prev) for step in found] == [(1, None), (1, None)]


async def _batch_of(options: KafkaOptions, offset: int) -> Batch:
    """Return the batch of one candidate as a consumer sees it."""
    found: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()

    async def take(batch: Batch) -> None:
        if not found.done():
            found.set_result(Batch(batch.at, [record for record in batch.records if record.offset == offset]))

    async with KafkaBus(options) as bus:
        task = asyncio.create_task(bus.run(Service("reader").follow(MODEL_CANDIDATES.name, take)))
        async with asyncio.timeout(SECONDS_MAX):
            batch = await found
        task.cancel()
        await asyncio.wait([task])
    return batch
