"""Producers of events: a client of ingest that never gives up, and one beside it that writes to Kafka as it likes."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

Sent = Mapping[str, Any]

BATCH_EVENTS = 20
RETRY_SECONDS_MAX = 180.0
HOUR_MS = 3_600_000
HEADERLESS: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Feed:
    """Sends a stream at a rate that can be changed. `accepted` are the places that ingest has answered with 202."""

    url: str
    producer: AIOKafkaProducer
    events: Iterator[Sent]
    rate: float
    partitions: int = 4
    is_mixed: bool = True
    """Whether the foreign producer adds its own."""
    sent: int = 0
    retries: int = 0
    foreign: int = 0
    accepted: list[tuple[int, int, str]] = field(default_factory=list)

    async def run(self) -> None:
        """Send until cancelled or until the stream ends."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30.0) as client:
            due = time.monotonic()
            while batch := list(itertools.islice(self.events, BATCH_EVENTS)):
                await self._post(client, batch)
                if self.is_mixed:
                    for number, event in enumerate(batch, start=self.sent):
                        await self._disturb(number, event)
                self.sent += len(batch)
                due = max(due + len(batch) / self.rate, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def reached(self, events: int, *, seconds_max: float = 180.0) -> None:
        """Return once so many events were sent."""
        deadline = time.monotonic() + seconds_max
        while self.sent < events:
            assert time.monotonic() < deadline, f"{self.sent} of {events} events were sent in {seconds_max:g} s"
            await asyncio.sleep(0.05)

    async def _post(self, client: httpx.AsyncClient, batch: list[Sent]) -> None:
        """Send a batch until it is answered: again with the same bytes, so with the same ids."""
        body = b"\n".join(json.dumps(event).encode() for event in batch)
        deadline = time.monotonic() + RETRY_SECONDS_MAX
        while True:
            try:
                answer = await client.post("/v1/events", content=body)
            except httpx.TransportError:
                answer = httpx.Response(httpx.codes.SERVICE_UNAVAILABLE)
            if answer.status_code == httpx.codes.ACCEPTED:
                break
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            assert time.monotonic() < deadline, "ingest does not come back"
            self.retries += 1
            await asyncio.sleep(0.2)
        self.accepted += [(one["partition"], one["offset"], one["id"]) for one in answer.json()["accepted"]]

    async def _disturb(self, number: int, event: Sent) -> None:
        """Add what a producer of another make may send: no key, no header, twice, broken, late, newer, too early."""
        for every, disturb in _DISTURBANCES:
            if number % every == 0 and event["type"] == "transaction":
                value, headers, partition = disturb(number, event)
                self.foreign += 1
                await self.producer.send_and_wait(
                    "raw-data", value, partition=partition % self.partitions, headers=list(headers)
                )


def _as_it_is(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    """Another event, with neither key nor headers, in any partition."""
    return json.dumps(dict(event, txn_id=f"f{number}")).encode(), HEADERLESS, number // 7


def _twice(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    return json.dumps(dict(event)).encode(), HEADERLESS, number // 7


def _late(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    late = dict(event, txn_id=f"l{number}", ts=event["ts"] - 2 * HOUR_MS)
    return json.dumps(late).encode(), HEADERLESS, number // 7


def _broken(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    broken = (b"{", b"\xff\xfe", b"", json.dumps(dict(event, amount="much")).encode(), b'{"type":"unheard_of"}')
    return broken[number // 97 % len(broken)], HEADERLESS, number


def _newer(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    return json.dumps(dict(event, mood="good")).encode(), (("ce_dataschema", b"transaction/9"),), number


def _early(number: int, event: Sent) -> tuple[bytes, tuple[tuple[str, bytes], ...], int]:
    early = dict(event, txn_id=f"e{number}", ts=event["ts"] + 1_000 * HOUR_MS)
    return json.dumps(early).encode(), HEADERLESS, number


_DISTURBANCES = ((11, _as_it_is), (43, _twice), (61, _late), (97, _broken), (101, _newer), (113, _early))


@asynccontextmanager
async def feeding(feed_of: Mapping[str, Any], bootstrap: str) -> AsyncIterator[Feed]:
    """Send in the background for as long as the block lasts; what failed there fails here."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    feed = Feed(producer=producer, **feed_of)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
        await producer.stop()
