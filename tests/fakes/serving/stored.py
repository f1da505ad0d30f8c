"""What the features service leaves in the online store, made by the engine itself."""

import numpy as np
from tests.fakes.serving.declared import deployment

from millrace_engine.entity import compile_entity
from millrace_engine.steps import EventColumns
from millrace_engine.table import EntityTable

PLAN = compile_entity(deployment(), "merchant", copies=True)
SET = PLAN.set.hex()
PARTITION = 2


def stored_merchant(events: int, at_us: int, *, last_offset: int = 41) -> bytes:
    """Return the value of a merchant with events just before `at_us`, the last of them at an offset."""
    table = EntityTable(PLAN, PARTITION)
    table.fill(["shop"], [[None, None]])
    numbers = np.arange(events)
    columns = EventColumns(
        slots=np.zeros(events, dtype=np.int32),
        kinds=np.zeros(events, dtype=np.int8),
        times_us=at_us - events + numbers,
        ids=numbers + 1,
        offsets=last_offset - events + 1 + numbers,
        appends_us=at_us - events + numbers,
        arguments=np.empty((events, PLAN.width)),
    )
    table.step(columns)
    [[_, value]] = table.encoded(np.array([0]))
    assert value is not None
    return value
