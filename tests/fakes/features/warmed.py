"""Print the kernels that batches compile after a start: `python -m tests.fakes.features.warmed`."""

import json
import sys
from collections.abc import Iterator

from numba.core.registry import CPUDispatcher
from tests.fakes.features.deployment import CARD_SPEND, SHOP_TAKINGS, deployment

from millrace_common.records import Batch, Bundle, Record, TopicPartition
from millrace_common.slots import Slot
from millrace_common.topics import RAW_DATA
from millrace_engine.events import compile_events
from millrace_engine.table import EntityTable
from millrace_features.core.changed import Changed
from millrace_features.core.feeds import compile_feeds
from millrace_features.core.intake import Intake
from millrace_features.core.judged import Judged
from millrace_features.core.judging import Judging, Load
from millrace_features.core.rows import compile_rows
from millrace_features.core.shard import Shard
from millrace_features.core.warming import compile_kernels

BATCHES = (["payment"], ["payment"] * 150, ["payment", "visit"] * 20, ["payment"] * 3)
HEADROOM_BYTES = 61


def specialisations() -> dict[str, int]:
    """Return how many specialisations each kernel has by now."""
    modules = [module for name, module in sys.modules.items() if name.startswith("millrace")]
    found = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, CPUDispatcher)}
    return {f"{one.py_func.__module__}.{one.py_func.__name__}": len(one.overloads) for one in found.values()}


def judged() -> Iterator[Judged]:
    """Yield what comes of some batches, of a deployment that the start does not know."""
    declared = deployment(CARD_SPEND, SHOP_TAKINGS)
    feeds, offset = compile_feeds(declared), 0
    feed = feeds.by_topic[RAW_DATA.name]
    intake = Intake(compile_events(declared), feed, 1)
    shards = {}
    for name, plan in feed.plans.items():
        writers = {spec.type: compile_rows(plan, spec, spine=True, aligned=True) for spec in plan.events}
        shards[name] = Shard(
            Slot(RAW_DATA.name, name, 0, plan.set.hex()), plan, writers, EntityTable(plan, 0), None, {}
        )
    for types in BATCHES:
        records = [record(offset + i, type_) for i, type_ in enumerate(types)]
        offset += len(records)
        for step in Judging(feeds, "", 10).steps(
            Batch(TopicPartition(RAW_DATA.name, 0), records), intake, shards, [offset]
        ):
            if isinstance(step, Load):
                step.values = [None] * len(step.keys)
            elif isinstance(step, Judged):
                yield step


def record(offset: int, type_: str) -> Record:
    """Return an event of one card."""
    fields = {"type": type_, "card": "c1", "ts": 1_700_000_000_000 + offset}
    if type_ == "payment":
        fields |= {"payment_id": f"p{offset}", "amount": 1.0, "merchant": "m"}
    return Record(RAW_DATA.name, 0, offset, b"c1", json.dumps(fields).encode(), (), 1_700_000_000_000_000 + offset)


def main() -> None:
    """Say what a start left to be compiled."""
    compile_kernels()
    before = specialisations()
    for one in judged():
        assert isinstance(one.outgoing, Bundle)
        list(one.outgoing.sheaf.framed(1 << 20, HEADROOM_BYTES))
        for shard, writes in one.writes:
            for values, cursor in writes:
                if isinstance(values, Changed):
                    values.words()
                shard.stored(cursor)
    compiled = [name for name, n in specialisations().items() if n > before.get(name, 0)]
    sys.stdout.write(json.dumps(compiled))


if __name__ == "__main__":
    main()
