"""Compile the kernels ahead: the loop, and the thread that fetches, would stand still while they do it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from millrace.spec import Deployment, EventSpec
from millrace_common.records import Batch, Bundle, Record, TopicPartition
from millrace_common.slots import Slot
from millrace_common.topics import RAW_DATA
from millrace_engine import warm
from millrace_engine.events import compile_events
from millrace_features.core.changed import Changed
from millrace_features.core.feeds import compile_feeds
from millrace_features.core.intake import Intake
from millrace_features.core.judged import Judged
from millrace_features.core.judging import Judging, Load
from millrace_features.core.shard import Shard
from millrace_features.core.unpacking import unpacked

OTHER = replace(warm.EVENT, type="other", class_name="Other")
DEPLOYMENT = Deployment({one.type: one for one in (warm.EVENT, OTHER)}, {warm.GROUP.key: warm.GROUP}, {}, {}, "")
_BATCH_BYTES = 1 << 20


def compile_kernels() -> None:
    """Take a batch of one class and one of two through every kernel: half a minute where nothing is cached."""
    warm.compile_kernels()
    unpacked(b"", slice(0, 0), 0)
    records = list(map(_record, range(3), (warm.EVENT, warm.EVENT, OTHER)))
    run_through(DEPLOYMENT, [records[:1], records[1:]])


def run_through(deployment: Deployment, batches: Iterable[Sequence[Record]]) -> None:
    """Take batches of one partition of raw-data, of entities never seen before, through all that the service does."""
    feeds = compile_feeds(deployment)
    feed = feeds.by_topic[RAW_DATA.name]
    intake = Intake(compile_events(deployment), feed, 1)
    slots = {name: Slot(RAW_DATA.name, name, 0, plan.set.hex()) for name, plan in feed.plans.items()}
    shards = {name: Shard.opened(slots[name], plan, None, aligned=True) for name, plan in feed.plans.items()}
    for records in batches:
        batch = Batch(TopicPartition(RAW_DATA.name, 0), records)
        for step in Judging(feeds, "", 1).steps(batch, intake, shards, [batch.end]):
            if isinstance(step, Load):
                step.values = [None] * len(step.keys)
            elif isinstance(step, Judged):
                _lay_out(step)


def _record(offset: int, spec: EventSpec) -> Record:
    fields: Mapping[str, object] = {"type": spec.type, "entity": "a", "x": 1.0, "ts": offset}
    return Record(RAW_DATA.name, 0, offset, b"a", json.dumps(fields).encode(), (), 0)


def _lay_out(judged: Judged) -> None:
    """Lay out what goes to Kafka and to Redis, as the loop does when it sends it."""
    if isinstance(judged.outgoing, Bundle):
        list(judged.outgoing.sheaf.framed(_BATCH_BYTES, 0))
    for shard, writes in judged.writes:
        for values, cursor in writes:
            if isinstance(values, Changed):
                values.words()
            shard.stored(cursor)
