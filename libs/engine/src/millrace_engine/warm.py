"""Compile the kernels ahead, so that no service does it when its first event or request comes."""

from collections.abc import Sequence

import numpy as np

from millrace.spec import Deployment, EventSpec, FeatureSpec, FieldRef, FieldSpec, GroupSpec
from millrace_engine.entity import compile_entity
from millrace_engine.groups import Group
from millrace_engine.steps import EventColumns
from millrace_engine.table import EntityTable

SECOND = 1_000_000
EVENT = EventSpec(
    "event",
    "Event",
    1,
    (FieldSpec("entity", "str", "entity"), FieldSpec("x", "float"), FieldSpec("ts", "datetime", "time")),
    None,
    ("entity",),
    "ts",
)
GROUP = GroupSpec(
    "All", "event", ("entity",), (FeatureSpec("n", "count", FieldRef("event", "x", "float"), SECOND),), "0"
)


def compile_kernels() -> None:
    """Take one event through every kernel that steps, stores and reads: 20 s where nothing is cached, else a moment."""
    plan = compile_entity(Deployment({EVENT.type: EVENT}, {GROUP.key: GROUP}, {}, {}, ""), "entity")
    table = EntityTable(plan, 0)
    table.fill(["a"], [[None, None]])
    table.step(_one_event())
    stored = table.encoded(table.dirty())
    table.clean()
    table.correct(_one_event()._replace(offsets=np.ones(1, dtype=np.int64)), again=True)
    table.evict(0)
    table.fill(["a"], stored)
    _read(plan.groups, stored[0][1])


def _one_event() -> EventColumns:
    one = np.zeros(1, dtype=np.int64)
    return EventColumns(one.astype(np.int32), one.astype(np.int8), one, one, one, one, np.ones((1, 1)))


def _read(groups: Sequence[Group], value: bytes | None) -> None:
    for group in groups:
        group.read(value, 10 * SECOND)
