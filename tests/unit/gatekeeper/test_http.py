"""The registry over HTTP, and the way back."""

import asyncio

import pytest
from tests.fakes.gatekeeper import MODEL, deployment
from tests.fakes.gatekeeper_stage import BAD, BETTER, GOOD, HOUR_US, Stage

from millrace_common.codec import encode
from millrace_common.host import Host
from millrace_common.simulate import Simulation
from millrace_gatekeeper.service import build


async def test_the_models_and_their_history_over_http() -> None:
    """What serves, since when, and how it came to."""
    stage = Stage()
    await stage.simulation.until_quiet()
    async with stage.client() as client:
        before = (await client.get("/v1/models")).json()
        await stage.offer(stage.candidate(BETTER, seed=1))
        stage.clock.advance_to(2 * HOUR_US)
        await stage.offer(stage.candidate(BAD, seed=2))
        listed = (await client.get("/v1/models")).json()["models"]
        shown = (await client.get(f"/v1/models/{MODEL}")).json()
        unknown = await client.get("/v1/models/nobody")

    assert before == {
        "models": [{"model": MODEL, "version": None, "digest": None, "since_us": None, "epoch": 0, "state": "none"}]
    }
    assert [(m["version"], m["since_us"], m["epoch"], m["state"]) for m in listed] == [("1", HOUR_US, 2, "rejected")]
    assert [step["to_state"] for step in shown["history"]] == ["champion", "rejected"]
    assert (unknown.status_code, "known: toy" in unknown.json()["error"]) == (404, True)


async def test_rollback_lets_the_champion_before_answer_and_then_the_one_before_that() -> None:
    """A second rollback goes one further back, not forward again; at the first there is nothing left."""
    stage = Stage()
    for seed, weights in enumerate((GOOD, (3.0, 0.5), BETTER), start=1):
        await stage.offer(stage.candidate(weights, seed=seed))
    assert [step.to_state for step in stage.steps()] == ["champion"] * 3
    async with stage.client() as client:
        first = await client.post(f"/v1/models/{MODEL}/rollback", json={"reason": "too many complaints"})
        second = await client.post(f"/v1/models/{MODEL}/rollback")
        third = await client.post(f"/v1/models/{MODEL}/rollback")
        forward = await client.post(f"/v1/models/{MODEL}/rollback", json={"version": "3"})

    assert first.status_code == 200
    assert (first.json()["from_state"], first.json()["to_state"]) == ("champion", "rolled_back")
    assert [arm["version"] for arm in first.json()["arms"]] == ["2"]
    assert first.json()["reason"] == {"code": "rollback", "text": "too many complaints"}
    assert [arm["version"] for arm in second.json()["arms"]] == ["1"]
    assert (third.status_code, "nothing" in third.text or "no other" in third.text) == (409, True)
    assert [arm["version"] for arm in forward.json()["arms"]] == ["3"]
    assert [step.epoch for step in stage.steps()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("model", "body", "status", "said"),
    [
        ("nobody", "{}", 404, "nobody"),
        (MODEL, "{}", 409, "served: 1"),
        (MODEL, '{"version": "9"}', 409, "9"),
        (MODEL, '{"version": 9}', 422, "$.version"),
        (MODEL, '{"why": "x"}', 422, "why"),
        (MODEL, "[", 422, "body"),
        (MODEL, "[" * 10_000, 422, "body"),
        (MODEL, " " * 20_000, 413, "16384"),
    ],
)
async def test_a_rollback_that_cannot_be_is_answered_with_the_reason(
    model: str, body: str, status: int, said: str
) -> None:
    """404 for an unknown model, 409 for nowhere to go, 422 naming the field."""
    stage = Stage()
    await stage.offer(stage.candidate(GOOD, seed=1))
    async with stage.client() as client:
        answer = await client.post(f"/v1/models/{model}/rollback", content=body)

    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


async def test_a_rollback_between_a_decision_and_its_record_makes_the_decision_anew() -> None:
    """Both count: the candidate is decided against the head that the rollback left."""
    stage = Stage()
    await stage.offer(stage.candidate(GOOD, seed=1), stage.candidate((3.0, 0.5), seed=2))
    asked, go = asyncio.Event(), asyncio.Event()
    fetch = stage.artifacts.get

    async def slow(uri: str, digest: str) -> dict[str, bytes]:
        asked.set()
        await go.wait()
        return await fetch(uri, digest)

    stage.service = build(
        Host(deployment(), stage.bus, stage.clock, "0", "test"),
        artifacts=type("Slow", (), {"get": staticmethod(slow)})(),
    )
    running = asyncio.create_task(Simulation(stage.bus, stage.clock, [stage.service]).until_quiet())
    await stage.bus.publish([encode(stage.candidate(BETTER, seed=3))])
    await asked.wait()
    async with stage.client() as client:
        answer = await client.post(f"/v1/models/{MODEL}/rollback")
    go.set()
    await running

    assert answer.status_code == 200
    assert [step.to_state for step in stage.steps()][2:] == ["rolled_back", "champion"]
    assert "against version 1" in next(v.why or "" for v in stage.steps()[3].verdicts if v.gate == "non_inferior")
