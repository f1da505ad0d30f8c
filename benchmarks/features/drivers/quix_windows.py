"""Quix Streams with its own windows: three branches, one row an event, values to Redis at each checkpoint.

Variant `tumbling` is its fastest kind of window and less than the job; `sliding` is the job.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from benchmarks.features.drivers.cards import WINDOWS_MS, Card, stored
from benchmarks.features.drivers.options import Options, options
from benchmarks.features.drivers.sink import Sink
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Mean
from quixstreams.models.serializers import JSONDeserializer
from quixstreams.sinks import BatchingSink, SinkBatch

Row = dict[str, Any]


class Cards(BatchingSink):
    """The newest values of each card, written when Quix commits."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def write(self, batch: SinkBatch) -> None:
        """Write what changed since the last checkpoint."""
        self._sink.write(
            {item.value["card"]: stored(item.offset, item.timestamp, item.value["features"]) for item in batch}
        )


def event_time(value: Row, headers: object, timestamp: float, kind: object) -> int:
    """Return when an event happened."""
    return int(value["ts"])


def first_seen() -> Callable[[Row], bool]:
    """Return what says whether an event is no repetition."""
    seen: defaultdict[str, Card] = defaultdict(Card)
    return lambda value: not seen[value["card"]].is_repeated(value["txn_id"])


def row_of(event: Row, features: dict[str, list[float]]) -> Row:
    """Return the row of the event whose branches have all run."""
    return {
        "card": event["card"],
        "event_id": event["txn_id"],
        "event_time_ms": event["ts"],
        "features": [value for name in WINDOWS_MS for value in features[name]],
    }


def build(app: Application, given: Options) -> None:
    """Declare the flow: the branches run one after the other, the last makes the row of all three."""
    source = app.topic(
        given.source, value_deserializer=JSONDeserializer(loads=msgspec.json.decode), timestamp_extractor=event_time
    )
    target = app.topic(given.target, value_serializer="bytes")
    event: Row = {}
    features: dict[str, list[float]] = {}
    events = app.dataframe(source).filter(first_seen()).update(event.update)
    branches = []
    for name, width_ms in WINDOWS_MS.items():
        kind = events.sliding_window if given.variant == "sliding" else events.tumbling_window
        window = kind(width_ms, name=name).agg(n=Count(), mean=Mean("amount"), most=Max("amount")).current()
        branches.append(window.update(_keeping(features, name)))
    rows = branches[-1].apply(lambda _: row_of(event, features))
    rows.sink(Cards(Sink(given.redis_port, given.database)))
    rows.apply(msgspec.json.encode).to_topic(target)


def _keeping(features: dict[str, list[float]], name: str) -> Callable[[Row], None]:
    def keep(found: Row) -> None:
        features[name] = [found["n"], found["mean"], found["most"]]

    return keep


def run(build: Callable[[Application, Options], None], **settings: Any) -> None:
    """Run a flow until a signal."""
    given = options()
    app = Application(
        broker_address=given.bootstrap,
        consumer_group=f"{given.prefix}quix",
        auto_offset_reset="earliest",
        state_dir=given.folder,
        loglevel="WARNING",
        **settings,
    )
    build(app, given)
    app.run()


if __name__ == "__main__":
    run(build)
