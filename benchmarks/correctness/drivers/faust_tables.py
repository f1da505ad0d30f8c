"""Faust's own windowed tables: a hopping table in memory with its changelog, one row for each event.

A row holds two readings: `value`, which is how the documentation reads a windowed table, and `widest`, which is the
hopping window that begins first of those that hold the event and so is the nearest to the hour before it.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import faust
from benchmarks.correctness.drivers.job import PARTITIONS, SESSION_SECONDS, STEPS, WINDOW
from benchmarks.features.drivers.options import options

EXPIRES = timedelta(days=1)
"""Faust holds a window's end against the wall clock, so a stream of past hours needs more than the window."""
LINGER_SECONDS = 0.05
"""So that the twelve changelog records of an event do not go out as requests of their own."""
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
    producer_linger=LINGER_SECONDS,
    datadir=GIVEN.folder,
)
source = app.topic(GIVEN.source, key_type=bytes, key_serializer="raw", value_type=Payment)
target = app.topic(GIVEN.target, key_type=bytes, key_serializer="raw", value_serializer="json")


def seconds(event: Any) -> float:
    """Return when a payment was made, as windows count."""
    return float(event.value.ts / 1_000)


hour = (
    app.Table("hour", default=lambda: (0, 0.0, None), partitions=PARTITIONS)
    .hopping(WINDOW, WINDOW / STEPS, expires=EXPIRES)
    .relative_to(seconds)
)


def taken(values: Sequence[Any], amount: float | None) -> Sequence[Any]:
    """Return count, sum and maximum with one more payment."""
    count, total, most = values
    if amount is None:
        return count + 1, total, most
    return count + 1, total + amount, amount if most is None else max(most, amount)


@app.agent(source)
async def compute(stream: Any) -> None:
    """Take an event into its windows, then send what they say."""
    async for event in stream.events():
        windows = hour[event.value.card]
        windows.apply(taken, event.value.amount)
        values = {"value": windows.value(), "widest": windows[hour.table.window.earliest(seconds(event))]}
        row = {"partition": event.message.partition, "offset": event.message.offset, "values": values}
        await target.send(key=event.key, value=row)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn"]
    app.main()
