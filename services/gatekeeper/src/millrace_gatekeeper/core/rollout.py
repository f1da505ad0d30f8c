"""The steps of a rollout as records: each the next link of its model's chain, each the whole picture after it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millrace.spec import PipelineSpec, Scalar
from millrace_common.ids import h
from millrace_common.messages import Arm, Candidate, Offsets, Person, Position, Promotion, Reason
from millrace_common.messages.promotion import Verdict
from millrace_common.registry import Effective
from millrace_gatekeeper.core.gates import decide

WHOLE_BP = 10_000
GATEKEEPER = Person(name="gatekeeper", role="service")
LEARNT_UNTIL = "learnt_until_us"
"""In a champion's `state_data`: the newest event time of the rows that taught it."""


class UnknownModel(Exception):
    """No model of that name was declared or ever promoted; the text names the known ones."""


class NothingToRollBackTo(Exception):
    """No other version has served; the text says which have."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a decision stands on: the chain so far, the candidate's place in its log, and the time."""

    chain: Sequence[Effective]
    inputs: Offsets
    at_us: int


def inputs_of(position: Position) -> Offsets:
    """Return one record as offsets.

    >>> inputs_of(Position(topic="model-candidates", partition=0, offset=7))
    {'model-candidates': {'0': (7, 8)}}
    """
    return {position.topic: {str(position.partition): (position.offset, position.offset + 1)}}


def is_decided(chain: Sequence[Effective], candidate_id: str) -> bool:
    """Say whether the chain holds a step of this candidate already: a replay publishes nothing."""
    return any(link.promotion.candidate_id == candidate_id for link in chain)


def direct(ground: Ground, candidate: Candidate, pipeline: PipelineSpec, verdicts: Sequence[Verdict]) -> Promotion:
    """Return the one step of a direct rollout: champion with all the weight, or rejected or inconclusive with none."""
    assert candidate.candidate_id is not None
    assert candidate.artifact is not None
    state, reason = decide(verdicts)
    rollout_id = h(candidate.model, candidate.candidate_id)
    version = next_version(ground.chain)
    arm = Arm(
        name="champion",
        role="answer",
        version=version,
        digest=candidate.artifact.digest,
        artifact_uri=candidate.artifact.uri,
        view_hash=candidate.view.hash,
        weight_bp=WHOLE_BP,
    )
    is_promoted = state == "champion"
    return Promotion(
        model=candidate.model,
        epoch=_epoch(ground.chain),
        prev=ground.chain[-1].hash if ground.chain else None,
        rollout_id=rollout_id,
        candidate_id=candidate.candidate_id,
        version=version,
        digest=candidate.artifact.digest,
        from_state="gating",
        to_state=state,
        mode=pipeline.rollout.mode,
        arms=(arm,) if is_promoted else arms_of(ground.chain),
        salt=h("salt", rollout_id) if is_promoted else _salt(ground.chain),
        reason=reason,
        verdicts=tuple(verdicts),
        inputs=ground.inputs,
        policy_hash=pipeline.policy_hash,
        actor=GATEKEEPER,
        state_data=_learnt(candidate) if is_promoted else {},
        at_us=ground.at_us,
        correlation_id=candidate.correlation_id,
        causation_id=candidate.id,
    )


def rolled_back(ground: Ground, *, version: str | None, reason: str | None, actor: Person) -> Promotion:
    """Return the step that takes the champion's rollout back and lets an earlier champion answer.

    Without `version` that is the one before: a second rollback goes one further back, not forward again. Raises
    NothingToRollBackTo.
    """
    champions = _champions(ground.chain)
    current = champions[-1] if champions else None
    target = _target(ground.chain, champions, version)
    if current is None or target is None:
        served = ", ".join(dict.fromkeys(arm.version for arm in _served(ground.chain))) or "none"
        raise NothingToRollBackTo(f"no other version {version or ''} has served; served: {served}".replace("  ", " "))
    rollout = _rollout_of(ground.chain, current)
    return Promotion(
        model=rollout.model,
        epoch=_epoch(ground.chain),
        prev=ground.chain[-1].hash if ground.chain else None,
        rollout_id=rollout.rollout_id,
        candidate_id=rollout.candidate_id,
        version=current.version,
        digest=current.digest,
        from_state="champion",
        to_state="rolled_back",
        mode=rollout.mode,
        arms=(target,),
        salt=_salt(ground.chain),
        reason=Reason(code="rollback", text=reason or f"from version {current.version} to {target.version}"),
        inputs=ground.inputs,
        policy_hash=rollout.policy_hash,
        actor=actor,
        at_us=ground.at_us,
    )


def next_version(chain: Sequence[Effective]) -> str:
    """Return the next number of the model."""
    return str(1 + max((int(link.promotion.version) for link in chain), default=0))


def arms_of(chain: Sequence[Effective]) -> tuple[Arm, ...]:
    """Return the arms of the head."""
    return chain[-1].promotion.arms if chain else ()


def champion_of(chain: Sequence[Effective]) -> Arm | None:
    """Return the answering arm with the greatest weight after a chain; None before the first champion."""
    return _answering(chain[-1].promotion) if chain else None


def champion_since_us(chain: Sequence[Effective]) -> int | None:
    """Return when the present champion began to answer."""
    current, since_us = champion_of(chain), None
    for link in reversed(chain):
        if current is None or _answering(link.promotion) != current:
            break
        since_us = link.promotion.at_us
    return since_us


def learnt_until(chain: Sequence[Effective], digest: str) -> int | None:
    """Return the newest event time that taught the champion of that digest; None where it is not recorded."""
    for link in reversed(chain):
        if link.promotion.to_state == "champion" and link.promotion.digest == digest:
            found = link.promotion.state_data.get(LEARNT_UNTIL)
            return None if found is None else int(found)
    return None


def _epoch(chain: Sequence[Effective]) -> int:
    return chain[-1].promotion.epoch + 1 if chain else 1


def _salt(chain: Sequence[Effective]) -> str:
    return chain[-1].promotion.salt if chain else ""


def _learnt(candidate: Candidate) -> dict[str, Scalar]:
    splits = candidate.data.splits if candidate.data else {}
    ends = [split.to_us for name, split in splits.items() if name != "gate"]
    return {LEARNT_UNTIL: max(ends)} if ends else {}


def _answering(promotion: Promotion) -> Arm | None:
    arms = [arm for arm in promotion.arms if arm.role == "answer"]
    return max(arms, key=lambda arm: arm.weight_bp, default=None)


def _served(chain: Sequence[Effective]) -> Iterator[Arm]:
    """Return the answering arm after each step, oldest first."""
    for link in chain:
        arm = _answering(link.promotion)
        if arm is not None:
            yield arm


def _champions(chain: Sequence[Effective]) -> list[Arm]:
    """Return the champions that stand, oldest first: a rollback takes away those above its target."""
    stack: list[Arm] = []
    for link in chain:
        arm = _answering(link.promotion)
        if arm is None or link.promotion.to_state not in ("champion", "rolled_back"):
            continue
        versions = [champion.version for champion in stack]
        if link.promotion.to_state == "rolled_back" and arm.version in versions:
            del stack[versions.index(arm.version) :]
        stack.append(arm)
    return stack


def _target(chain: Sequence[Effective], champions: Sequence[Arm], version: str | None) -> Arm | None:
    if version is None:
        return champions[-2] if len(champions) > 1 else None
    others = (arm for arm in _served(chain) if arm.version == version and arm.version != champions[-1].version)
    return next(others, None)


def _rollout_of(chain: Sequence[Effective], arm: Arm) -> Promotion:
    """Return the promotion that made an arm champion."""
    return next(
        link.promotion
        for link in reversed(chain)
        if link.promotion.to_state == "champion" and link.promotion.version == arm.version
    )
