"""A file replayed beside a live stream: every row of it is counted once, and nothing is unaccounted for."""

import asyncio
import csv
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from pipelines.fraud_stream import FraudStream
from tests.e2e import checks
from tests.e2e.feed import feeding
from tests.e2e.scenario import found, hold_all, hold_ended, keep, platform_on
from tests.e2e.world import World, opened
from tests.matrix.market import whole_file

from millrace_cli.home import Endpoints, Home
from millrace_cli.programs import tethered
from millrace_common.clock import SystemClock

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "reconcile.json"
FRAUD = "pipelines.fraud:PIPELINE"
ELECTRICITY = "pipelines.electricity:PIPELINE"
COLUMNS = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "class")
SMALL_ROWS = 2_000
STREAM_RATE = 100.0
REPLAY_SECONDS_MAX = 900.0
FED = checks.PARTS[:7]
"""What the feed brings about: it corrects nothing, and features is not restarted."""


def is_whole(request: pytest.FixtureRequest) -> bool:
    """Say whether the whole matrix was asked for."""
    return bool(request.config.getoption("--matrix") == "whole")


@pytest.fixture
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The whole Elec2 file in the whole matrix; else a small file of the same columns."""
    if is_whole(request):
        return whole_file()
    rng = random.Random(7)
    file = tmp_path / "market.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for row in range(SMALL_ROWS):
            numbers = [round(rng.random(), 6) for _ in COLUMNS[1:-1]]
            writer.writerow((round(row % 48 / 47, 6), *numbers, int(numbers[0] < numbers[1])))
    return file


@pytest.mark.timeout(1_800)
def test_a_file_and_a_stream_reconcile(request: pytest.FixtureRequest, history: Path, tmp_path: Path) -> None:
    """Each row of the file has one spine row, and each record of raw-data has become one thing (`checks.PARTS`)."""
    with history.open() as opened_file:
        rows = sum(1 for _ in opened_file) - 1
    home = Home(tmp_path / "home")
    with platform_on(tmp_path, FRAUD, ELECTRICITY) as endpoints:
        results = asyncio.run(_reconcile(home, endpoints, history, rows))
    hold_ended(home)
    keep(results, RESULTS if is_whole(request) else tmp_path / "reconcile.json")


async def _reconcile(home: Home, endpoints: Endpoints, history: Path, rows: int) -> dict[str, Any]:
    async with opened(home, endpoints) as world:
        stream = FraudStream.ending_at(SystemClock().now_us())
        told = {"url": endpoints.services["ingest"], "events": iter(stream), "rate": STREAM_RATE}
        async with feeding(told, endpoints.kafka_bootstrap_servers) as feed:
            await feed.reached(500)
            world.stage("before the replay")
            await _replayed(history, home)
            world.stage("replay")
            await feed.reached(feed.sent + 500)
        await world.quiet(seconds_max=REPLAY_SECONDS_MAX)
        world.stage("rest")
        truth = hold_all(await world.seen(feed.accepted), {})
        assert set(world.restarts().values()) == {0}
        assert {topic for topic, records in truth.repeats.items() if records} <= {"model-candidates"}
        _hold_counts(world, truth)
        market = [row.event_id for row in truth.folded.rows.values() if row.event_type == "market_row"]
        assert sorted(map(int, market)) == list(range(rows))
        world.stage("checks")
        truth.figures["rows of the file"] = rows
        return found(world, truth)


async def _replayed(history: Path, home: Home) -> None:
    command = ("-m", "millrace_cli", "replay", str(history), "--home", str(home.folder), "--pipeline", "electricity")
    replay = await asyncio.create_subprocess_exec(*tethered((sys.executable, *command)))
    try:
        assert await asyncio.wait_for(replay.wait(), REPLAY_SECONDS_MAX) == 0
    finally:
        if replay.returncode is None:
            replay.kill()
            await replay.wait()


def _hold_counts(world: World, truth: checks.Truth) -> None:
    """Assert that features, which was never restarted, counted what the fold counts, and that its counts reconcile."""
    counts, folded = world.counts("features"), truth.folded
    assert counts["in"] == truth.figures["in"]
    assert counts["in"] == sum(counts.get(part, 0) for part in checks.PARTS)
    lengths = (folded.rows, folded.labels, folded.dead, folded.late)
    assert tuple(counts[part] for part in FED[:4]) == tuple(len(one) for one in lengths)
    assert tuple(counts[part] for part in FED[4:]) == (folded.duplicates, len(folded.parked), len(folded.moved))
    assert not counts.keys() & {"corrected", "replayed"}
    assert min(counts[part] for part in FED) > 0, "a part that is empty proves nothing"
