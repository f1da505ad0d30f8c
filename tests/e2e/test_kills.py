"""Killed in mid-stream, a platform goes on as if nothing had been."""

from pathlib import Path

import pytest
from tests.e2e.faults import Faults
from tests.e2e.planted import unfound
from tests.e2e.scenario import survive, written

from millrace_common.failpoints import NAMES


async def harm(faults: Faults) -> None:
    """Kill features, serving and all six, and let features die at each failpoint."""
    await faults.kill("features")
    await faults.kill("serving")
    for place in NAMES:
        await faults.fail("features", place)
    await faults.kill_all()


@pytest.mark.timeout(600)
def test_killed_services_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    """After kills: rows, labels and predictions once by effect, Redis is the slow fold, all counts reconcile."""
    survived = survive(tmp_path, harm, rate=100.0)
    written(survived, tmp_path / "kills.json")
    assert survived.said_again() > 0, "nothing was replayed: the run proves nothing"
    assert survived.truth.repeats["features"], "features said nothing again, though it died between publish and state"
    assert unfound(survived.seen, survived.truth) == []
