"""The gatekeeper on a bus in memory: candidates in, one chain of promotions out."""

from dataclasses import dataclass

import msgspec
import pytest
from tests.fakes.gatekeeper import MODEL
from tests.fakes.gatekeeper_stage import BAD, BETTER, GOOD, HOUR_US, Stage

from millrace_common.bus.memory import MemoryBus
from millrace_common.codec import decode, encode
from millrace_common.errors import Fenced, Unavailable
from millrace_common.messages import Position, Promotion
from millrace_common.records import Outgoing
from millrace_common.registry import Registry
from millrace_common.service import Service
from millrace_common.simulate import Simulation


async def test_the_first_good_candidate_becomes_champion_with_all_the_weight() -> None:
    """One record holds the whole picture: arms, verdicts, reason, evidence, the place in the chain."""
    stage = Stage()
    made = stage.candidate(GOOD, seed=1)

    await stage.offer(made)

    (step,) = stage.steps()
    assert made.artifact is not None
    assert (step.from_state, step.to_state, step.version, step.epoch, step.prev) == ("gating", "champion", "1", 1, None)
    assert [(arm.role, arm.digest, arm.weight_bp) for arm in step.arms] == [("answer", made.artifact.digest, 10_000)]
    assert step.verdicts[0].gate == "integrity"
    assert step.inputs == {"model-candidates": {"0": (0, 1)}}
    assert (step.at_us, step.policy_hash, step.correlation_id) == (HOUR_US, "p" * 64, "c1")


async def test_a_worse_candidate_is_rejected_and_the_arms_stay() -> None:
    """A rejection is a step like any other: numbered, chained, with its reasons."""
    stage = Stage()
    await stage.offer(stage.candidate(BETTER, seed=1))
    await stage.offer(stage.candidate(BAD, seed=2))

    champion, rejected = stage.steps()
    assert (rejected.to_state, rejected.version, rejected.epoch) == ("rejected", "2", 2)
    assert rejected.arms == champion.arms
    assert rejected.reason.code == "gate-non-inferior"
    assert {one.gate: one.verdict for one in rejected.verdicts}["non_inferior"] == "fail"


async def test_a_better_candidate_replaces_the_champion() -> None:
    """The loop closes."""
    stage = Stage()
    await stage.offer(stage.candidate(GOOD, seed=1))
    await stage.offer(stage.candidate(BETTER, seed=2))

    assert [(step.version, step.to_state) for step in stage.steps()] == [("1", "champion"), ("2", "champion")]
    assert [arm.version for arm in stage.steps()[-1].arms] == ["2"]


async def test_too_few_rows_leave_a_candidate_open_and_the_next_supersedes_it() -> None:
    """Inconclusive says how many rows would decide; the next candidate is decided on its own."""
    stage = Stage()
    await stage.offer(stage.candidate(GOOD, seed=1))
    await stage.offer(stage.candidate(GOOD, seed=2, n=20))
    await stage.offer(stage.candidate(BETTER, seed=3))

    first, second, third = stage.steps()
    assert [step.to_state for step in (first, second, third)] == ["champion", "inconclusive", "champion"]
    assert second.arms == first.arms
    assert {one.n_needed for one in second.verdicts if one.verdict == "inconclusive"} == {30}


async def test_candidates_of_one_batch_are_decided_one_after_the_other() -> None:
    """The second is held against the first, and every record counts."""
    stage = Stage()
    await stage.offer(stage.candidate(BETTER, seed=1), stage.candidate(BAD, seed=2), stage.candidate(BETTER, seed=3))

    registry = Registry()
    for record in stage.bus.log["promotions"][0]:
        step = decode(record)
        assert isinstance(step, Promotion)
        registry.fold(step, record.value or b"", Position(topic="promotions", partition=0, offset=record.offset))
    assert registry.void == 0
    assert [link.promotion.to_state for link in registry.history(MODEL)] == ["champion", "rejected", "champion"]


async def test_a_replay_publishes_nothing() -> None:
    """A decided candidate stands in the chain: a gatekeeper without an offset reads all again and stays silent."""
    stage = Stage()
    await stage.offer(stage.candidate(GOOD, seed=1), stage.candidate(BAD, seed=2))
    stage.bus.committed.clear()

    again = Simulation(stage.bus, stage.clock, [stage.built()])
    await again.until_quiet()

    assert len(stage.steps()) == 2


async def test_a_rolled_back_candidate_is_not_decided_again() -> None:
    """A rollback is a step of the candidate's rollout, not its end."""
    stage = Stage()
    first = stage.candidate(GOOD, seed=1)
    await stage.offer(first, stage.candidate(BETTER, seed=2))
    async with stage.client() as client:
        await client.post(f"/v1/models/{MODEL}/rollback")

    await stage.offer(first)

    assert [step.to_state for step in stage.steps()] == ["champion", "champion", "rolled_back"]


async def test_runs_that_are_not_ready_are_passed_over() -> None:
    """Started, failed, refused and cancelled runs ask for nothing."""
    stage = Stage()
    ready = stage.candidate(GOOD, seed=1)
    await stage.offer(*(msgspec.structs.replace(ready, status=one) for one in ("started", "failed", "refused")))

    assert stage.steps() == []


async def test_a_candidate_of_an_unknown_model_is_skipped() -> None:
    """Kept on the log, counted, never guessed."""
    stage = Stage()
    await stage.offer(msgspec.structs.replace(stage.candidate(GOOD, seed=1), model="other"))

    assert stage.steps() == []


async def test_an_artifact_that_cannot_be_read_is_rejected() -> None:
    """Corrupt bytes are a verdict, not a crash."""
    stage = Stage()
    made = stage.candidate(GOOD, seed=1)
    assert made.artifact is not None
    stage.artifacts.corrupt.add(made.artifact.digest)

    await stage.offer(made)

    (step,) = stage.steps()
    assert (step.to_state, step.reason.code, step.arms) == ("rejected", "gate-integrity", ())
    assert "artifact-corrupt" in step.reason.text


async def test_a_champion_that_cannot_be_read_does_not_stop_its_successor() -> None:
    """There is nothing to compare with, and the record says so."""
    stage = Stage()
    first = stage.candidate(GOOD, seed=1)
    await stage.offer(first)
    assert first.artifact is not None
    stage.artifacts.corrupt.add(first.artifact.digest)

    await stage.offer(stage.candidate(BETTER, seed=2))

    step = stage.steps()[-1]
    compared = next(one for one in step.verdicts if one.gate == "non_inferior")
    assert (step.to_state, compared.verdict) == ("champion", "skipped")
    assert "artifact-corrupt" in (compared.why or "")


async def test_a_ready_candidate_without_an_artifact_is_a_dead_letter() -> None:
    """It breaks its contract; the letter names the field."""
    stage = Stage()
    await stage.offer(msgspec.structs.replace(stage.candidate(GOOD, seed=1), artifact=None))

    (letter,) = stage.bus.log["model-candidates.dlq"][0]
    assert (letter.header("millrace-reason"), letter.header("millrace-field")) == ("incomplete", "candidate_id")


async def test_bytes_that_are_no_candidate_are_a_dead_letter() -> None:
    """And those on promotions are nobody's promotion."""
    stage = Stage()
    await stage.bus.publish([Outgoing("model-candidates", b"x", b"no json"), Outgoing("promotions", b"x", b"{}")])
    await stage.offer(stage.candidate(GOOD, seed=1))

    assert [letter.header("millrace-reason") for letter in stage.bus.log["model-candidates.dlq"][0]] == ["malformed"]
    assert stage.bus.log["promotions"][0][-1].header("ce_type") == "millrace.promotion.v1"


@dataclass(slots=True)
class Rival:
    """A bus on which another gatekeeper's record comes first: every step is preceded by the rival's."""

    inner: MemoryBus
    armed: bool = True

    async def publish(self, records: list[Outgoing]) -> list[Position]:
        """Publish, the rival's record first."""
        if self.armed and records and records[0].topic == "promotions":
            self.armed = False
            step = msgspec.json.decode(records[0].value or b"", type=Promotion)
            rival = msgspec.structs.replace(step, at_us=step.at_us + 1)
            await self.inner.publish([encode(rival)])
        return await self.inner.publish(records)


async def test_a_step_that_another_gatekeeper_outran_ends_the_process() -> None:
    """The record is void (R6): nothing is committed, and a restart decides against the new head."""
    stage = Stage()
    rival = Rival(stage.bus)
    stage.bus.settler = type(stage.bus.settler)(rival, stage.bus.settler.failpoints)  # type: ignore[arg-type]  # as far as settle uses it

    with pytest.raises(Fenced, match="came first"):
        await stage.offer(stage.candidate(GOOD, seed=1))

    assert stage.bus.committed == {}
    restarted = Simulation(stage.bus, stage.clock, [stage.built()])
    await restarted.until_quiet()
    assert len(stage.steps()) == 2, "the rival had decided this candidate: nothing more to say"


async def test_a_step_that_does_not_come_back_ends_the_process() -> None:
    """The wait is bounded."""
    stage = Stage()
    gatekeeper = stage.built(wait_seconds_max=0.01)
    silent = Simulation(stage.bus, stage.clock, [Service("gatekeeper", subscriptions=gatekeeper.subscriptions)])
    await stage.bus.publish([encode(stage.candidate(GOOD, seed=1))])

    with pytest.raises(Unavailable, match="did not come back"):
        await silent.until_quiet()
