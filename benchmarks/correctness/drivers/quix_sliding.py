"""Quix Streams' own sliding windows, with their state in RocksDB and its changelog: one row for each event.

An event that comes late changes the windows of events after it too, which Quix sends as well; a row here is the window
that ends with the event itself.
"""

import json
from typing import Any

from benchmarks.correctness.drivers.job import LATENESS, SESSION_SECONDS, WINDOW
from benchmarks.features.drivers.options import Options
from benchmarks.features.drivers.quix_windows import run
from quixstreams import Application, message_context
from quixstreams.dataframe.windows import Count, Max, Sum

Row = dict[str, Any]


def event_time(value: Row, headers: object, timestamp: float, kind: object) -> int:
    """Return when an event happened."""
    return int(value["ts"])


def row_of(window: Row) -> Row:
    """Return the row of the event that is worked on."""
    at = message_context()
    values = {"window": [window["count"], window["total"], window["most"]]}
    return {"partition": at.partition, "offset": at.offset, "values": values}


def build(app: Application, given: Options) -> None:
    """Declare the flow."""
    source = app.topic(given.source, value_deserializer="json", timestamp_extractor=event_time)
    target = app.topic(given.target, value_serializer="bytes")
    event: Row = {}
    windows = (
        app.dataframe(source)
        .update(event.update)
        .sliding_window(WINDOW, grace_ms=LATENESS, name="hour")
        .agg(count=Count(), total=Sum("amount"), most=Max("amount"))
        .current()
    )
    own = windows.filter(lambda window: window["end"] == event["ts"])
    own.apply(row_of).apply(lambda row: json.dumps(row).encode()).to_topic(target)


if __name__ == "__main__":
    run(build, consumer_extra_config={"session.timeout.ms": SESSION_SECONDS * 1_000})
