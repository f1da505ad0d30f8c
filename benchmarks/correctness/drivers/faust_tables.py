"""Faust's own windowed tables: three hopping tables in memory with their changelogs, one row for each event.

A row holds two readings: `value`, which is how the documentation reads a windowed table, and `widest`, which is the
hopping window that begins first of those that hold the event and so is the nearest to the hour before it.
"""

import sys
from datetime import timedelta
from typing import Any

import faust
from benchmarks.correctness.drivers.job import PARTITIONS, SESSION_SECONDS, STEPS, WINDOW
from benchmarks.features.drivers.options import options

EXPIRES = timedelta(days=1)
"""Faust holds a window's end against the wall clock, so a stream of past hours needs more than the window."""
GIVEN = options()


class Payment(faust.Record, serializer="json"):
    """One card payment; `ts` is in milliseconds."""

    payment_id: str
    card: str
    merchant: str
    ts: int
    amount: float | None = None


app = faust.App(
    f"{GIVEN.prefix}faust",
    broker=f"kafka://{GIVEN.bootstrap}",
    store="memory://",
    web_enabled=False,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=SESSION_SECONDS,
    datadir=GIVEN.folder,
)
source = app.topic(GIVEN.source, key_type=bytes, key_serializer="raw", value_type=Payment)
target = app.topic(GIVEN.target, key_type=bytes, key_serializer="raw", value_serializer="json")


def seconds(event: Any) -> float:
    """Return when a payment was made, as windows count."""
    return float(event.value.ts / 1_000)


def hopping(name: str, default: Any) -> Any:
    """Return a table of the hour by event time."""
    table = app.Table(name, default=default, partitions=PARTITIONS)
    return table.hopping(WINDOW, WINDOW / STEPS, expires=EXPIRES).relative_to(seconds)


count = hopping("count", int)
total = hopping("total", float)
most = hopping("most", lambda: None)


def greater(one: float | None, other: float) -> float:
    """Return the greater of two, the first of which may be missing."""
    return other if one is None else max(one, other)


@app.agent(source)
async def compute(stream: Any) -> None:
    """Take an event into the tables, then send what they say."""
    async for event in stream.events():
        payment: Payment = event.value
        count[payment.card] += 1
        if payment.amount is not None:
            total[payment.card] += payment.amount
            most[payment.card].apply(greater, payment.amount)
        tables = [table[payment.card] for table in (count, total, most)]
        widest = count.table.window.earliest(seconds(event))
        values = {
            "value": [table.value() for table in tables],
            "widest": [table[widest] for table in tables],
        }
        row = {"partition": event.message.partition, "offset": event.message.offset, "values": values}
        await target.send(key=event.key, value=row)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn"]
    app.main()
