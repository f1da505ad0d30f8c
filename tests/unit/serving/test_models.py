"""Which version answers: promotions, artifacts that cannot be loaded, rollbacks."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from tests.fakes.serving.declared import MODEL, row
from tests.fakes.serving.models import artifact, model_bytes
from tests.fakes.serving.stage import Stage, staged
from tests.unit.serving.test_stream import scored

from millrace_common.clock import VirtualClock
from millrace_common.errors import Unavailable
from millrace_serving.core.limits import Limits


async def version_of(stage: Stage) -> str | None:
    """Return the version that answers, as the operator's page says."""
    return (await state_of(stage))["version"]


async def state_of(stage: Stage) -> dict[str, str | None]:
    """Return what the operator's page says of the model."""
    async with stage.client() as client:
        state: dict[str, str | None] = (await client.get(f"/v1/models/{MODEL}")).json()
        return state


async def test_the_newest_promotion_answers() -> None:
    """Each effective promotion brings its version in, with its own epoch."""
    stage = await staged(VirtualClock(5))
    await stage.promote_new("1", artifact(0.0))
    first = await scored(stage, row(1))
    await stage.promote_new("2", artifact(1.0))
    second = await scored(stage, row(1))

    assert [(made.version, made.epoch) for made in first + second] == [("1", 1), ("2", 2)]
    assert first[0].score != second[0].score
    assert first[0].prediction_id == second[0].prediction_id


async def test_a_void_promotion_changes_nothing() -> None:
    """A record that is not its model's next link does not count (R6)."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    await stage.keeper.train("2", artifact(1.0))
    stage.keeper.prev = "sha256:" + "0" * 64
    await stage.keeper.promote("2")

    assert await version_of(stage) == "1"


async def test_a_rollback_needs_no_store() -> None:
    """The version before stays warm: going back is a change of one pointer."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    await stage.promote_new("2", artifact(1.0))
    stage.artifacts.away = True
    await stage.keeper.promote("1")

    state = await state_of(stage)
    assert (state["version"], state["failure"]) == ("1", None)


async def test_a_promotion_without_arms_lets_nothing_answer() -> None:
    """Where the log says that no version answers, none does."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    await stage.keeper.promote(None)

    assert await version_of(stage) is None


def without(files: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    """Return files but one."""
    return {key: value for key, value in files.items() if key != name}


def off_by(golden: bytes, amount: float) -> bytes:
    """Return golden.json with answers that the model does not give."""
    found = json.loads(golden)
    found["probabilities"] = [[no - amount, yes + amount] for no, yes in found["probabilities"]]
    return json.dumps(found).encode()


GOOD = artifact(1.0)
BROKEN = {
    "no model": (without(GOOD, "model.onnx"), "model.onnx: the artifact has no such file"),
    "no golden rows": (without(GOOD, "golden.json"), "golden.json"),
    "no profile": (without(GOOD, "profile.json"), "profile.json"),
    "not onnx": ({**GOOD, "model.onnx": b"not a model"}, "artifact-unreadable: model.onnx"),
    "another width": ({**GOOD, "model.onnx": model_bytes(1.0, width=4)}, "artifact-signature: model.onnx"),
    "another input": ({**GOOD, "model.onnx": model_bytes(1.0, name="x")}, "artifact-signature: model.onnx"),
    "golden rows off": ({**GOOD, "golden.json": off_by(GOOD["golden.json"], 0.01)}, "a golden score is off by"),
    "golden not json": ({**GOOD, "golden.json": b"{"}, "artifact-unreadable: golden.json"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_artifact_that_cannot_be_loaded_leaves_the_current_model_serving(name: str) -> None:
    """The failure is counted and shown with its reason; the next good promotion clears it."""
    files, why = BROKEN[name]
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    await stage.promote_new("2", files)

    state = await state_of(stage)
    assert (state["version"], state["failed_version"]) == ("1", "2")
    assert why in (state["failure"] or "")
    assert stage.service.counts()["models_not_loaded"] == 1
    assert stage.service.counts()["load_failures"] == 1
    assert len(await scored(stage, row(1))) == 1

    await stage.promote_new("3", artifact(2.0))
    state = await state_of(stage)
    assert (state["version"], state["failure"]) == ("3", None)


async def test_a_corrupt_artifact_is_refused_by_its_digest() -> None:
    """What the store gives back must be what was promoted, byte for byte."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    await stage.keeper.train("2", artifact(1.0))
    uri, _ = stage.keeper.versions["1"]
    _, digest = stage.keeper.versions["2"]
    stage.keeper.versions["2"] = uri.rsplit("/", 2)[0] + "/nowhere", digest[:-1] + ("0" if digest[-1] != "0" else "1")
    await stage.keeper.promote("2")

    state = await state_of(stage)
    assert state["version"] == "1"
    assert "artifact-corrupt" in (state["failure"] or "")


async def test_a_model_of_another_view_is_refused() -> None:
    """A version that learnt from columns this deployment does not have is never guessed at."""
    stage = await staged()
    await stage.keeper.train("1", artifact(0.0))
    await stage.keeper.promote("1", view_hash="w" * 32)

    assert "unknown-view" in ((await state_of(stage))["failure"] or "")


async def test_a_store_that_was_away_is_asked_again() -> None:
    """A passing failure mends itself at the next tick; the current model serves meanwhile."""
    stage = await staged()
    await stage.promote_new("1", artifact(0.0))
    stage.artifacts.away = True
    await stage.promote_new("2", artifact(1.0))
    [tick] = stage.service.ticks
    await tick.handler(0)
    away = await version_of(stage)
    stage.artifacts.away = False
    await tick.handler(0)

    assert (away, await version_of(stage)) == ("1", "2")
    assert stage.service.counts()["models_not_loaded"] == 0


async def test_the_stream_waits_for_a_first_version_that_is_only_away() -> None:
    """Rows are not passed over because the artifact store is slow to come up."""
    stage = await staged(limits=Limits(stream_seconds_max=5.0, retry_seconds=0.01))
    stage.artifacts.away = True
    await stage.promote_new("1", artifact(0.0))
    scoring = asyncio.create_task(scored(stage, row(1)))
    await asyncio.sleep(0.05)
    waited = not scoring.done()
    stage.artifacts.away = False

    assert len(await scoring) == 1
    assert waited


async def test_the_stream_does_not_wait_for_ever() -> None:
    """After the limit the process ends by rule and the log is replayed."""
    stage = await staged(limits=Limits(stream_seconds_max=0.02, retry_seconds=0.01))
    stage.artifacts.away = True
    await stage.promote_new("1", artifact(0.0))

    with pytest.raises(Unavailable, match="could be fetched"):
        await scored(stage, row(1))
