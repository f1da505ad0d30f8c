"""Ingest on a real Kafka: 202 means that the broker has it, and a broker that is away is a 503 in time."""

import asyncio
import json
import time

import httpx
from tests.fakes.ingest import deployment

from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.clock import SystemClock
from millrace_common.host import Host
from millrace_common.keys import partition_of
from millrace_common.records import Batch, Record
from millrace_common.service import Service
from millrace_common.topics import RAW_DATA
from millrace_ingest.service import build

TS = "2023-11-14T22:13:20Z"
EVENTS = 700


async def read_all(options: KafkaOptions, wanted: int) -> list[Record]:
    """Read raw-data from its start until there are `wanted` records."""
    found: list[Record] = []
    enough = asyncio.Event()

    async def take(batch: Batch) -> None:
        found.extend(batch.records)
        if len(found) >= wanted:
            enough.set()

    async with KafkaBus(options) as bus:
        task = asyncio.create_task(bus.run(Service("reader").follow(RAW_DATA.name, take)))
        async with asyncio.timeout(60):
            await enough.wait()
        task.cancel()
        await asyncio.wait([task])
    return found


def client_of(bus: KafkaBus, *, answer_seconds_max: float = 10.0) -> httpx.AsyncClient:
    """Return a client of an ingest on this bus."""
    service = build(Host(deployment(), bus, SystemClock(), "0", "test"), answer_seconds_max=answer_seconds_max)
    assert service.app is not None
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://ingest", timeout=60)


async def test_what_was_accepted_lies_where_the_answer_says(kafka_bootstrap: str, topic_prefix: str) -> None:
    """Every event once, at its partition and offset, under its entity's key, with its id in the header."""
    await create_topics(kafka_bootstrap, (RAW_DATA,), prefix=topic_prefix)
    options = KafkaOptions(kafka_bootstrap, prefix=topic_prefix)
    events = [
        {"type": "payment", "payment_id": f"p{n}", "card": f"c{n % 40}", "amount": n / 2, "ts": TS}
        for n in range(EVENTS)
    ]
    async with KafkaBus(options) as bus, client_of(bus) as client:
        lines = "\n".join(json.dumps(event) for event in events[1:])
        first = await client.post("/v1/events", json=events[0])
        rest = await client.post("/v1/events", content=lines)

    told = [*first.json()["accepted"], *rest.json()["accepted"]]
    lying = {(r.partition, r.offset): r for r in await read_all(options, EVENTS)}
    assert len(lying) == EVENTS
    for event, place in zip(events, told, strict=True):
        record = lying[place["partition"], place["offset"]]
        assert (place["id"], record.header("ce_id"), record.key) == (
            event["payment_id"],
            event["payment_id"],
            str(event["card"]).encode(),
        )
        assert record.partition == partition_of(str(event["card"]), 4)


async def test_a_broker_that_is_not_there_is_a_503_in_time() -> None:
    """Also at the first request of a process; never a hang."""
    options = KafkaOptions("127.0.0.1:9", send_seconds_max=20.0)
    async with KafkaBus(options) as bus, client_of(bus, answer_seconds_max=2.0) as client:
        started = time.monotonic()
        event = {"type": "payment", "payment_id": "p", "card": "c", "amount": 1, "ts": TS}
        answer = await client.post("/v1/events", json=event)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert time.monotonic() - started < 10
