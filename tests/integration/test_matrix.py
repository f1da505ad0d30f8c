"""Every aggregate through the features service as a process of its own, on a real Kafka and a real Redis.

By default two columns on a few thousand payments; with `--matrix=whole` (`make verify-features`) all of them on 100,000
payments of 1,000 cards each, and the results are kept.
"""

import time
from pathlib import Path

import pytest
from tests.fakes.features.world import opened_world
from tests.matrix.columns import COLUMNS, Column, survive
from tests.matrix.judging import Judge, Seen, judged
from tests.matrix.payments import Size, payments
from tests.matrix.report import Reported, apart, written

from millrace.loading import load

PIPELINE = "tests/matrix/pipeline.py:PIPELINE"
PARTITIONS = 4
SEED = 20_260
HOUR_MS = 3_600_000
WHOLE, SMALL = Size(100_000, 1_000, 6 * HOUR_MS), Size(4_000, 40, HOUR_MS)
ORDERED = ("shuffled within lateness", "duplicated")
"""Columns that count the same events as the one in order."""
RATE, CALM_RATE = 2_500.0, 20_000.0


@pytest.mark.timeout(7_200)
async def test_every_value_is_the_oracles(
    request: pytest.FixtureRequest, kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Rows, store and a replay of the log equal the oracle bit for bit, whatever befalls the service."""
    whole = request.config.getoption("--matrix") == "whole"
    size, until_ms = WHOLE if whole else SMALL, time.time_ns() // 1_000_000 - HOUR_MS
    columns = COLUMNS if whole else tuple(column for column in COLUMNS if column.needs in ("kills", "corrected"))
    judge, found = Judge(load([PIPELINE])), list[Reported]()

    async def ran(column: Column, prefix: str) -> Reported:
        home, began = tmp_path / prefix, time.monotonic()
        home.mkdir()
        rate = (RATE if column.needs else CALM_RATE) if whole else 1_000.0
        events = payments(size, until_ms=until_ms, seed=SEED)
        at = {"kafka_bootstrap": kafka_bootstrap, "redis_url": redis_url, "prefix": prefix}
        async with opened_world(PIPELINE, home, partitions=PARTITIONS, **at) as world:
            run = await survive(column, world, events, rate=rate, seed=SEED)
            raw, features, late = [await world.log(topic) for topic in ("raw-data", "features", "raw-data.late")]
            seen = Seen(raw, features, late, await world.stored())
        return Reported(column.name, judged(judge, seen), run.done, time.monotonic() - began)

    for i, column in enumerate(columns):
        found.append(await ran(column, f"{topic_prefix}{i}."))
        orders = {one.name: apart(found[0].judged, one.judged) for one in found if one.name in ORDERED}
        if whole:
            written(judge, found, orders)
    assert {one.name: one.judged.mismatches for one in found} == {column.name: 0 for column in columns}
    assert {name: far for name, (_, far) in orders.items()} == dict.fromkeys(orders, 0)
