"""`millrace replay` against a real ingest on a real Kafka, both killed in mid-file."""

import asyncio
import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from millrace_cli.home import Endpoints, Home
from millrace_cli.ports import next_claimed
from millrace_cli.programs import tethered
from millrace_common.bus.admin import create_topics
from millrace_common.bus.kafka import KafkaBus
from millrace_common.bus.options import KafkaOptions
from millrace_common.records import Batch, Record
from millrace_common.service import Service
from millrace_common.topics import RAW_DATA

PIPELINE = "pipelines.electricity:PIPELINE"
ROWS = 2_000
SECONDS_MAX = 60.0
NAMES = ("ingest", "features", "trainer", "gatekeeper", "serving", "monitor")
FIRST_PORT = 27_101


@contextmanager
def process(*command: str, environment: dict[str, str], kill: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of ours; it is gone when the block ends."""
    started = subprocess.Popen(tethered((sys.executable, "-m", *command)), env={**os.environ, **environment})
    try:
        yield started
    finally:
        started.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        started.wait(30)


def write_market(path: Path) -> None:
    """Write rows of a market as the Elec2 file has them."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "class"))
        writer.writerows((n % 48 / 48, n % 7 / 7, 0.5, n % 5 / 5, 0.25, 0.75, n % 2) for n in range(ROWS))


def await_ready(url: str, ingest: subprocess.Popen[bytes]) -> None:
    """Return when ingest is ready."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        assert ingest.poll() is None, "ingest ended"
        try:
            if httpx.get(f"{url}/ready", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("ingest is not ready")


async def read_all(options: KafkaOptions) -> list[Record]:
    """Read raw-data from its start to the end seen at start."""
    found: list[Record] = []

    async def take(batch: Batch) -> None:
        found.extend(batch.records)

    async with KafkaBus(options) as bus:
        task = asyncio.create_task(bus.run(Service("reader").follow(RAW_DATA.name, take)))
        async with asyncio.timeout(SECONDS_MAX):
            await bus.standing.ready.wait()
        task.cancel()
        await asyncio.wait([task])
    return found


def sent(home: Home) -> int:
    """Return how many events the replay's note says were answered for."""
    notes = list((home.folder / "ingest" / "replays").glob("*.json"))
    return json.loads(notes[0].read_text())["acknowledged"] if notes else 0


def await_sent(home: Home, least: int) -> None:
    """Return once that many events were answered for."""
    deadline = time.monotonic() + SECONDS_MAX
    while sent(home) < least:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_event_is_there_by_effect_once_after_both_sides_were_killed(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Rows by their id, outcomes by what they refer to: all of them; a repeat has the id and bytes of the first."""
    asyncio.run(create_topics(kafka_bootstrap, (RAW_DATA,), prefix=topic_prefix))
    home, market, claims = Home(tmp_path / "home"), tmp_path / "market.csv", ExitStack()
    port = claims.enter_context(next_claimed(FIRST_PORT, taken=frozenset()))
    home.folder.mkdir()
    url = f"http://127.0.0.1:{port}"
    home.write(Endpoints(kafka_bootstrap, "", dict.fromkeys(NAMES, url), {}, (PIPELINE,), topic_prefix=topic_prefix))
    write_market(market)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "MILLRACE_TOPIC_PREFIX": topic_prefix,
        "MILLRACE_PIPELINES": PIPELINE,
        "MILLRACE_HTTP_PORT": str(port),
        "MILLRACE_HOME": str(home.folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    replay = ("millrace_cli", "replay", str(market), "--rate", "1500")

    with claims, ExitStack() as resuming:
        with process("millrace_ingest", environment=environment, kill=True) as ingest:
            await_ready(url, ingest)
            with process(*replay, environment=environment, kill=True):
                await_sent(home, 500)
            reached = sent(home)
            resumed = resuming.enter_context(process(*replay, environment=environment))
            await_sent(home, reached + 400)
        with process("millrace_ingest", environment=environment) as ingest:
            await_ready(url, ingest)
            assert resumed.wait(120) == 0
            with process(*replay, environment=environment) as again:
                assert again.wait(60) == 0, "a replay that is done has nothing to do"

    records = asyncio.run(read_all(KafkaOptions(kafka_bootstrap, prefix=topic_prefix)))
    assert reached < 2 * ROWS, "the kill came after the end"
    assert_once_by_effect(records)


def assert_once_by_effect(records: list[Record]) -> None:
    """Every row and outcome is there; a repeat has the id and the bytes of the first; first comings are in order."""
    rows = {r.header("ce_id"): r.value for r in records if r.header("ce_type") == "market_row"}
    outcomes = {r.key: r.value for r in records if r.header("ce_type") == "market_outcome"}
    assert (set(rows), len(outcomes)) == ({str(n) for n in range(ROWS)}, ROWS)
    assert len(records) - 2 * ROWS <= 2 * 500, "more than the open batches came twice"
    assert all(rows.get(r.header("ce_id"), outcomes.get(r.key)) == r.value for r in records)
    in_order = [int(r.header("ce_id") or 0) for r in records if r.header("ce_type") == "market_row"]
    first_seen = list(dict.fromkeys(in_order))
    assert all(a < b for a, b in itertools.pairwise(first_seen))
