"""Compile the kernels ahead: the loop, and the thread that fetches, would stand still while they do it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from millrace.spec import Deployment, EventSpec
from millrace_common.records import Batch, Bundle, Record, TopicPartition
from millrace_common.slots import Slot
from millrace_common.topics import RAW_DATA
from millrace_engine import warm
from millrace_engine.events import compile_events
from millrace_engine.table import EntityTable
from millrace_features.core.changed import Changed
from millrace_features.core.feeds import Feed, compile_feeds
from millrace_features.core.intake import Intake
from millrace_features.core.judged import Judged
from millrace_features.core.judging import Judging, Load
from millrace_features.core.rows import compile_rows
from millrace_features.core.shard import Shard
from millrace_features.core.unpacking import unpacked

OTHER = replace(warm.EVENT, type="other", class_name="Other")
DEPLOYMENT = Deployment({one.type: one for one in (warm.EVENT, OTHER)}, {warm.GROUP.key: warm.GROUP}, {}, {}, "")
AT = TopicPartition(RAW_DATA.name, 0)
_BATCH_BYTES = 1 << 20


def compile_kernels() -> None:
    """Take a batch of one class and one of two through every kernel: half a minute where nothing is cached."""
    warm.compile_kernels()
    unpacked(b"", slice(0, 0), 0)
    feeds = compile_feeds(DEPLOYMENT)
    feed = feeds.by_topic[RAW_DATA.name]
    intake, shards = Intake(compile_events(DEPLOYMENT), feed, 1), dict(_shards(feed))
    records = list(map(_record, range(3), (warm.EVENT, warm.EVENT, OTHER)))
    for batch in (Batch(AT, records[:1]), Batch(AT, records[1:])):
        for step in Judging(feeds, "", 1).steps(batch, intake, shards, [batch.end]):
            if isinstance(step, Load):
                step.values = [None] * len(step.keys)
            elif isinstance(step, Judged):
                _lay_out(step)


def _shards(feed: Feed) -> Iterator[tuple[str, Shard]]:
    for entity_type, plan in feed.plans.items():
        writers = {spec.type: compile_rows(plan, spec, spine=True, aligned=True) for spec in plan.events}
        slot = Slot(RAW_DATA.name, entity_type, 0, plan.set.hex())
        yield entity_type, Shard(slot, plan, writers, EntityTable(plan, 0), None, {})


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
