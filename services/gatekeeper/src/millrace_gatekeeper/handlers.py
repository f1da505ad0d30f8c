"""Candidates in, promotions out. Nothing is kept: the log of promotions, folded, is all the state there is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import structlog

from millrace_common.codec import dead_letter, encode, encode_value
from millrace_common.delivery import decoded
from millrace_common.errors import Fenced, Refused, Unavailable
from millrace_common.host import Host
from millrace_common.ids import sha256
from millrace_common.messages import Arm, Candidate, Person, Position, Promotion
from millrace_common.metrics import CANDIDATES_SKIPPED, GATE_VERDICTS, PROMOTIONS_PUBLISHED
from millrace_common.records import Batch, Outgoing, Record
from millrace_common.registry import Effective, Registry
from millrace_common.service import Outcome
from millrace_gatekeeper.core.evidence import (
    THRESHOLD,
    Case,
    Floats,
    GateRows,
    Graph,
    Incumbent,
    Matrix,
    ProfileFacts,
    profile_of,
)
from millrace_gatekeeper.core.gates import examine
from millrace_gatekeeper.core.rollout import (
    Ground,
    UnknownModel,
    champion_of,
    direct,
    inputs_of,
    is_decided,
    learnt_until,
    rolled_back,
)

log = structlog.get_logger()
T = TypeVar("T")


class Artifacts(Protocol):
    """Where artifacts lie."""

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the verified files of an artifact; raises Refused or Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Instruments:
    """What looks into an artifact's files; each raises Refused where it cannot."""

    inspect: Callable[[bytes], Graph]
    score: Callable[[bytes, Matrix], Floats]
    read_rows: Callable[[bytes], GateRows]


@dataclass(frozen=True, slots=True)
class Examiner:
    """Gathers what the gates look at."""

    host: Host
    artifacts: Artifacts
    instruments: Instruments

    async def case(self, candidate: Candidate, chain: Sequence[Effective]) -> Case:
        """Return all that is known of a candidate; raises Unavailable where the artifact store gives no answer."""
        model = self.host.deployment.models[candidate.model]
        problems: list[str] = []
        assert candidate.artifact is not None
        try:
            files = await self.artifacts.get(candidate.artifact.uri, candidate.artifact.digest)
        except Refused as refused:
            return Case(candidate, model, {}, None, None, None, None, (str(refused),))
        graph = _tried(problems, partial(self.instruments.inspect, files.get("model.onnx", b"")))
        rows = _tried(problems, partial(self.instruments.read_rows, files.get("gate.parquet", b"")))
        scores = None
        if graph is not None and rows is not None:
            scores = _tried(problems, partial(self.instruments.score, files["model.onnx"], rows.features))
        arm = champion_of(chain)
        incumbent = await self._incumbent(arm, rows, chain) if arm and rows else None
        return Case(candidate, model, files, graph, rows, scores, incumbent, tuple(problems))

    async def _incumbent(self, arm: Arm, rows: GateRows, chain: Sequence[Effective]) -> Incumbent:
        """Return the champion on the candidate's gate rows, by the columns that its own profile names."""
        learnt_us = learnt_until(chain, arm.digest)
        try:
            files = await self.artifacts.get(arm.artifact_uri, arm.digest)
            profile = profile_of(files)
            scores = self.instruments.score(files.get("model.onnx", b""), _columns(rows, profile))
        except Refused as refused:
            return Incumbent(arm.version, THRESHOLD, None, learnt_us, why=str(refused))
        threshold = profile.threshold if profile else None
        return Incumbent(arm.version, THRESHOLD if threshold is None else threshold, scores, learnt_us)


@dataclass(slots=True)
class Gatekeeper:
    """Decides candidates and takes champions back. One step of a chain at a time, and each is read back."""

    host: Host
    examiner: Examiner
    wait_seconds_max: float
    registry: Registry = field(default_factory=Registry)
    _void: set[str] = field(default_factory=set)
    _grown: asyncio.Condition = field(default_factory=asyncio.Condition)
    _deciding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_promotions(self, batch: Batch) -> None:
        """Fold the log. Foreign bytes on it are nobody's promotion."""
        messages, letters = decoded(batch, Promotion, service_version=self.host.version)
        for record, promotion in messages:
            at = Position(topic=record.topic, partition=record.partition, offset=record.offset)
            if self.registry.fold(promotion, record.value or b"", at) is None:
                self._void.add(sha256(record.value or b""))
                log.info("promotion_void", model=promotion.model, epoch=promotion.epoch, offset=record.offset)
        if letters:
            log.warning("promotions_unreadable", count=len(letters))
        async with self._grown:
            self._grown.notify_all()

    async def on_candidates(self, batch: Batch) -> Outcome:
        """Decide every candidate that is ready and was not decided yet, each against the one before."""
        messages, letters = decoded(batch, Candidate, service_version=self.host.version)
        ready = [(record, candidate) for record, candidate in messages if candidate.status == "ready"]
        for record, candidate in ready:
            if candidate.candidate_id is None or candidate.artifact is None:
                refusal = Refused("incomplete", "a ready candidate names its artifact", field="candidate_id")
                letters.append(dead_letter(record, refusal, service_version=self.host.version))
        whole = [one for one in ready if one[1].candidate_id is not None and one[1].artifact is not None]
        while True:
            before = {model: head.hash for model, head in self.registry.heads().items()}
            steps = await self._decided(whole)
            if not steps:
                return Outcome(letters)
            await self._deciding.acquire()
            if before == {model: head.hash for model, head in self.registry.heads().items()}:
                return Outcome([*letters, *steps], partial(self._confirm, steps))
            self._deciding.release()  # a rollback came between: decide against the new head

    async def _decided(self, candidates: Sequence[tuple[Record, Candidate]]) -> list[Outgoing]:
        chains: dict[str, tuple[Effective, ...]] = {}
        steps: list[Outgoing] = []
        for record, candidate in candidates:
            chain = chains.get(candidate.model) or tuple(self.registry.history(candidate.model))
            step = await self._step(record, candidate, chain)
            if step is not None:
                staged = Position(topic=step.topic, partition=0, offset=-1)
                chains[step.model] = (*chain, Effective(step, sha256(encode_value(step)), staged))
                steps.append(encode(step, cause_offset=record.offset))
        return steps

    async def _step(self, record: Record, candidate: Candidate, chain: Sequence[Effective]) -> Promotion | None:
        assert candidate.candidate_id is not None
        pipelines = self.host.deployment.pipelines.values()
        pipeline = next((one for one in pipelines if one.model.name == candidate.model), None)
        if is_decided(chain, candidate.candidate_id):
            return None
        if pipeline is None:
            CANDIDATES_SKIPPED.labels("unknown-model").inc()
            log.warning("candidate_skipped", model=candidate.model, reason="unknown-model", offset=record.offset)
            return None
        case = await self.examiner.case(candidate, chain)
        verdicts = examine(case, pipeline.gates)
        place = Position(topic=record.topic, partition=record.partition, offset=record.offset)
        step = direct(Ground(chain, inputs_of(place), self.host.clock.now_us()), candidate, pipeline, verdicts)
        for verdict in verdicts:
            GATE_VERDICTS.labels(step.model, verdict.gate, verdict.verdict).inc()
        PROMOTIONS_PUBLISHED.labels(step.model, step.to_state).inc()
        told = {verdict.gate: verdict.verdict for verdict in verdicts}
        log.info("candidate_decided", model=step.model, version=step.version, state=step.to_state, gates=told)
        return step

    async def _confirm(self, steps: Sequence[Outgoing]) -> None:
        try:
            for step in steps:
                await self._read_back(step)
        finally:
            self._deciding.release()

    async def _read_back(self, step: Outgoing) -> Promotion:
        """Return the step once it is effective (R6); raises Fenced where it is void, Unavailable where it stays out."""
        model, wanted = (step.key or b"").decode(), sha256(step.value or b"")
        try:
            async with asyncio.timeout(self.wait_seconds_max), self._grown:
                await self._grown.wait_for(lambda: wanted in self._void or self._link(model, wanted) is not None)
        except TimeoutError as error:
            raise Unavailable(f"promotions: a step of {model} was sent and did not come back") from error
        found = self._link(model, wanted)
        if found is None:
            raise Fenced(f"promotions: another step of {model} came first")
        return found.promotion

    def _link(self, model: str, wanted: str) -> Effective | None:
        return next((link for link in reversed(self.registry.history(model)) if link.hash == wanted), None)

    async def roll_back(self, model: str, *, version: str | None, reason: str | None, actor: Person) -> Promotion:
        """Let an earlier champion answer, and return the step once it counts.

        Raises UnknownModel, NothingToRollBackTo; Fenced where another step came first, Unavailable or Unknown where the
        broker gave no answer.
        """
        try:
            async with asyncio.timeout(self.wait_seconds_max):
                await self._deciding.acquire()
        except TimeoutError as error:
            raise Unavailable(f"a candidate of {model} is being decided") from error
        try:
            ground = Ground(self.history(model), {}, self.host.clock.now_us())
            step = rolled_back(ground, version=version, reason=reason, actor=actor)
            outgoing = encode(step)
            await self.host.publisher.publish([outgoing])
            PROMOTIONS_PUBLISHED.labels(step.model, step.to_state).inc()
            log.info("champion_rolled_back", model=model, version=step.version, to_version=step.arms[0].version)
            return await self._read_back(outgoing)
        finally:
            self._deciding.release()

    def history(self, model: str) -> Sequence[Effective]:
        """Return the chain of a model, oldest first; empty before its first step. Raises UnknownModel."""
        known = self.models()
        if model not in known:
            raise UnknownModel(f"model: no model is called {model!r}; known: {', '.join(known) or 'none'}")
        return self.registry.history(model)

    def models(self) -> Sequence[str]:
        """Return the names of all models that were declared or ever promoted."""
        return sorted({*self.host.deployment.models, *self.registry.heads()})

    def counts(self) -> Mapping[str, int]:
        """Return what the status page shows."""
        chains = [self.registry.history(model) for model in self.models()]
        return {"promotions": sum(len(chain) for chain in chains), "promotions_void": self.registry.void}


def _tried(problems: list[str], look: Callable[[], T]) -> T | None:
    """Return what an instrument sees; what it refuses is written down."""
    try:
        return look()
    except Refused as refused:
        problems.append(str(refused))
        return None


def _columns(rows: GateRows, profile: ProfileFacts | None) -> Matrix:
    """Return the gate rows in the columns of another artifact; raises Refused where they do not carry them."""
    if profile is None:
        raise Refused("artifact-unreadable", "profile.json of the champion cannot be read")
    missing = [name for name in profile.names if name not in rows.columns]
    if missing:
        raise Refused("other-columns", f"the champion takes {', '.join(missing)}, which the gate rows do not carry")
    return rows.features[:, [rows.columns.index(name) for name in profile.names]]
