"""Cases to scores to predictions: one run of the model for all its cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millrace_common.errors import Refused, Unavailable
from millrace_common.messages import Prediction
from millrace_common.messages.prediction import GroupFacts
from millrace_serving.core.cases import UNAVAILABLE, Case, Inputs, Stored, assemble
from millrace_serving.core.slots import Active, Matrix, ScoringFailed

Vector = tuple[float | None, ...]
Outcome = tuple[float | None, str | None, Vector | None]
"""A score, or an error; and the vector that went into the model, None where the policy refused."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A case and the version that answers it, whatever is activated meanwhile."""

    active: Active
    case: Case


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of one case: a score, or the error that stands in its place."""

    case: Case
    active: Active
    score: float | None
    error: str | None
    vector: Vector | None
    facts: dict[str, GroupFacts]
    flags: tuple[str, ...]

    @property
    def decision(self) -> bool | None:
        """Return whether the score reaches the threshold; None where there is no score or no threshold."""
        threshold = self.active.loaded.threshold
        return None if self.score is None or threshold is None else self.score >= threshold

    def check(self) -> None:
        """Raise ScoringFailed, Unavailable or Refused (`features-missing`) where there is no score to answer with."""
        if self.error is None:
            return
        if self.vector is not None:
            raise ScoringFailed(self.error)
        if UNAVAILABLE in self.flags:
            raise Unavailable(f"the online store is away: {self.error}")
        raise Refused("features-missing", self.error)


def score_together(asked: Sequence[Asked], stored: Stored | None) -> list[Scored]:
    """Score cases in one run of each version; `stored` None: the online store could not be read."""
    places: dict[int, list[int]] = {}
    for place, one in enumerate(asked):
        places.setdefault(id(one.active), []).append(place)
    answers: dict[int, Scored] = {}
    for shared in places.values():
        cases = [asked[place].case for place in shared]
        answers.update(zip(shared, _score(cases, asked[shared[0]].active, stored), strict=True))
    return [answers[place] for place in range(len(asked))]


def _score(cases: Sequence[Case], active: Active, stored: Stored | None) -> list[Scored]:
    inputs = assemble(cases, stored)
    ready = [place for place, each in enumerate(inputs) if each.refusal is None]
    answers: dict[int, Outcome] = {}
    if ready:
        matrix = cases[0].definition.view.matrix([(inputs[place].groups, cases[place].fields) for place in ready])
        answers = dict(zip(ready, _outcomes(active, matrix), strict=True))
    return [
        _scored(case, active, inputs[place], answers.get(place, (None, inputs[place].refusal, None)))
        for place, case in enumerate(cases)
    ]


def scored_rows(case: Case, active: Active, matrix: Matrix) -> list[Scored]:
    """Score rows that a caller sent as they are."""
    nothing = Inputs({}, {}, (), None)
    return [_scored(case, active, nothing, outcome) for outcome in _outcomes(active, matrix)]


def _outcomes(active: Active, matrix: Matrix) -> list[Outcome]:
    scores, error = run(active, matrix)
    vectors = vectors_of(matrix)
    if scores is None:
        return [(None, error, vector) for vector in vectors]
    return [(score, None, vector) for score, vector in zip(scores, vectors, strict=True)]


def run(active: Active, matrix: Matrix) -> tuple[list[float] | None, str | None]:
    """Return the model's scores, or why there are none."""
    try:
        scores = active.loaded.score(matrix)
    except ScoringFailed as failure:
        return None, str(failure)
    if not np.isfinite(scores).all():
        return None, "the model gave a score that is not a number"
    return [float(value) for value in scores], None


def vectors_of(matrix: Matrix) -> list[Vector]:
    """Return a matrix's rows as they stand in messages: missing is None, never NaN."""
    if np.isfinite(matrix).all():
        return [tuple(row) for row in matrix.tolist()]
    return [tuple(None if value != value else value for value in row) for row in matrix.tolist()]


def _scored(case: Case, active: Active, inputs: Inputs, outcome: Outcome) -> Scored:
    score, error, vector = outcome
    return Scored(case, active, score, error, vector, inputs.facts, inputs.flags)


def prediction(scored: Scored, prediction_id: str, *, served_us: int, latency_us: int | None) -> Prediction:
    """Return the record of one answer."""
    case, active, spec = scored.case, scored.active, scored.case.definition.spec
    return Prediction(
        prediction_id=prediction_id,
        model=spec.name,
        version=active.arm.version,
        digest=active.arm.digest,
        epoch=active.epoch,
        role="answer",
        arm=active.arm.name,
        propensity=1.0,
        via=case.via,
        outcome="ok" if scored.error is None else "error",
        error=scored.error,
        event_type=case.event_type,
        event_id=case.event_id,
        row_id=case.row_id,
        entities=case.entities,
        at_us=case.at_us,
        served_us=served_us,
        score=scored.score,
        decision=scored.decision,
        threshold=active.loaded.threshold,
        view_hash=spec.view.hash,
        vector=scored.vector,
        vector_rate=1.0,
        groups=scored.facts,
        flags=scored.flags,
        latency_us=latency_us,
        spine_entity_id=case.entities.get(case.definition.event.entity_type),
    )
