"""Every service killed twice in mid-stream, all of them at once twice, and each at every failpoint."""

from pathlib import Path

import pytest
from tests.e2e.faults import SERVICES, Faults
from tests.e2e.planted import unfound
from tests.e2e.scenario import MODEL, survive, written

from millrace_common.failpoints import NAMES

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "kills.json"
SETTLING = ("features", "serving", "trainer", "monitor")


async def kills(faults: Faults) -> None:
    """Kill each service twice, where it hurts, and twice all of them."""
    for service in SERVICES:
        await faults.kill(service)
    for service in ("features", "serving", "ingest"):
        await faults.kill_twice_in_a_row(service)
    await faults.kill("monitor")
    await faults.kill_at("started", "trainer", MODEL)
    await faults.kill_at("ready", "gatekeeper", MODEL)
    await faults.kill_all()
    await faults.kill_all()


async def failpoints(faults: Faults) -> None:
    """Let each service that settles die after the publish, after the state, before the commit."""
    for service in SETTLING:
        for place in NAMES:
            await faults.fail(service, place)
    for place in NAMES:
        await faults.fail("gatekeeper", place, model=MODEL)


async def everything(faults: Faults) -> None:
    """Do both."""
    await kills(faults)
    await failpoints(faults)


@pytest.mark.timeout(3_600)
def test_any_service_may_die_anywhere(tmp_path: Path) -> None:
    """However often and wherever services die: once by effect, stores as the slow fold, all counts reconcile."""
    survived = survive(tmp_path, everything, rate=100.0)
    written(survived, RESULTS)
    said_again = survived.truth.repeats
    assert said_again["features"], "features said nothing again"
    assert said_again["predictions"], "serving said nothing again"
    assert unfound(survived.seen, survived.truth) == []
