"""What serving does: follow the promotions, score the stream, answer requests."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from millrace_common import ids
from millrace_common.clock import Clock
from millrace_common.codec import encode
from millrace_common.delivery import decoded
from millrace_common.errors import Refused, Unavailable
from millrace_common.messages import Arm, FeatureRow, Position, Promotion
from millrace_common.metrics import SERVING_LOAD_FAILURES, SERVING_PREDICTIONS
from millrace_common.records import Batch, Outgoing
from millrace_common.registry import Registry
from millrace_common.service import Outcome
from millrace_common.slots import Held, Wanted
from millrace_serving.core.cases import Case, Stored, case_of_row, wanted
from millrace_serving.core.counts import Counts
from millrace_serving.core.inference import InferRequest, InferResponse, matrix_of, output_names, response
from millrace_serving.core.limits import ASKED_TOGETHER_MAX, ROWS_TOGETHER_MAX, Limits
from millrace_serving.core.requests import Answer, Ask, answer_of, case_of_ask
from millrace_serving.core.scoring import Asked, Scored, prediction, score_together, scored_rows
from millrace_serving.core.slots import Active, Failure, Loaded, Slot

log = structlog.get_logger()


class Online(Protocol):
    """Where the newest feature values are."""

    async def read(self, wanted: Sequence[Wanted]) -> Sequence[Held]:
        """Return what is stored of each wanted group, and whether it can be trusted; raises Unavailable."""
        ...


class Artifacts(Protocol):
    """Where the models are."""

    async def get(self, uri: str, digest: str) -> Mapping[str, bytes]:
        """Return the verified files of an artifact; raises Refused or Unavailable."""
        ...


class Loader(Protocol):
    """What makes a model of an artifact."""

    async def load(self, files: Mapping[str, bytes], columns: Sequence[str]) -> Loaded:
        """Return a model with these inputs; raises Refused."""
        ...


class Spool(Protocol):
    """What keeps answers until the broker has them."""

    @property
    def records(self) -> int:
        """Return how many it does not have yet."""
        ...

    async def keep(self, *records: Outgoing) -> None:
        """Return once the records are on disk; raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """Follows the promotions: what is in force answers as soon as it is loaded, what answered goes on until then."""

    slots: Mapping[str, Slot]
    artifacts: Artifacts
    loader: Loader
    counts: Counts
    registry: Registry = field(default_factory=Registry)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_promotions(self, batch: Batch) -> None:
        """Fold the log and bring in the versions now in force; a version that cannot be loaded changes nothing."""
        moved: dict[str, None] = {}
        for record, promotion in decoded(batch, Promotion, service_version="")[0]:
            at = Position(topic=record.topic, partition=record.partition, offset=record.offset)
            if self.registry.fold(promotion, record.value or b"", at):
                moved[promotion.model] = None
        for name in moved:
            await self.bring_in(name)

    async def retry(self, _now_us: int) -> Outcome:
        """Try again what could not be fetched."""
        for name, slot in self.slots.items():
            if slot.failure is not None and slot.failure.passing:
                await self.bring_in(name)
        return Outcome()

    async def bring_in(self, name: str) -> None:
        """Let the version that is in force for a model answer, loading it first unless it is warm."""
        slot = self.slots.get(name)
        if slot is None:
            self.counts.unknown_models += 1
            log.warning("promotion_of_unknown_model", model=name)
            return
        async with self.turn:
            arm, head = self.registry.champion(name), self.registry.head(name)
            if arm is None or head is None:
                slot.vacate()
                return
            loaded = slot.warm.get(arm.digest) or await self._load(slot, arm)
            if loaded is not None:
                slot.activate(Active(arm, head.promotion.epoch, loaded))
                log.info("model_activated", model=name, model_version=arm.version, digest=arm.digest)

    async def _load(self, slot: Slot, arm: Arm) -> Loaded | None:
        spec = slot.definition.spec
        try:
            slot.definition.check_view(arm.view_hash)
            files = await self.artifacts.get(arm.artifact_uri, arm.digest)
            return await self.loader.load(files, slot.definition.columns)
        except (Refused, Unavailable) as error:
            slot.failure = Failure(arm.digest, arm.version, str(error), isinstance(error, Unavailable))
        self.counts.load_failures += 1
        SERVING_LOAD_FAILURES.labels(spec.name).inc()
        log.error("model_not_loaded", model=spec.name, model_version=arm.version, **slot.failure.facts)
        return None


@dataclass(slots=True)
class Turn:
    """Questions that came in one turn of the loop, and the task that answers them."""

    asked: list[Asked]
    task: asyncio.Task[list[Scored]]


@dataclass(slots=True)
class Desk:
    """Reads the online store and scores: requests of one turn of the loop share one read and one run of the model."""

    online: Online
    limits: Limits
    turn: Turn | None = None

    async def ask(self, asked: Asked) -> Scored:
        """Return what came of one question; a store that does not answer in time leaves its features missing."""
        if self.turn is None or len(self.turn.asked) >= ASKED_TOGETHER_MAX:
            questions: list[Asked] = []
            self.turn = Turn(questions, asyncio.create_task(self._answer(questions)))
        turn = self.turn
        turn.asked.append(asked)
        place = len(turn.asked) - 1
        return (await asyncio.shield(turn.task))[place]

    async def _answer(self, asked: list[Asked]) -> list[Scored]:
        if self.turn is not None and self.turn.asked is asked:
            self.turn = None
        try:
            stored: Stored | None = await self._read(asked, self.limits.online_seconds_max)
        except Unavailable:
            stored = None
        return score_together(asked, stored)

    async def score(self, asked: Sequence[Asked]) -> list[Scored]:
        """Score rows of the stream; raises Unavailable when the store has been away for too long."""
        for _ in range(self.limits.stream_tries):
            try:
                return score_together(asked, await self._read(asked, self.limits.retry_seconds))
            except Unavailable as error:
                log.warning("online_store_away", error=str(error))
                await asyncio.sleep(self.limits.retry_seconds)
        raise Unavailable(f"the online store was away for {self.limits.stream_seconds_max:g} s")

    async def _read(self, asked: Sequence[Asked], seconds_max: float) -> Stored:
        keys = list(dict.fromkeys(key for one in asked for key in wanted(one.case)))
        if not keys:
            return {}
        try:
            async with asyncio.timeout(seconds_max):
                return dict(zip(keys, await self.online.read(keys), strict=True))
        except TimeoutError as error:
            raise Unavailable(f"the online store gave no answer in {seconds_max:g} s") from error


@dataclass(frozen=True, slots=True)
class Serving:
    """Scores rows and answers requests with the versions in force."""

    models: Models
    desk: Desk
    spool: Spool | None
    clock: Clock
    counts: Counts
    next_id: Callable[[], str]
    service_version: str

    async def on_features(self, batch: Batch) -> Outcome:
        """Score the spine rows of a partition; rows whose model has no version yet are passed over."""
        rows, letters = decoded(batch, FeatureRow, service_version=self.service_version)
        publish: list[Outgoing] = list(letters)
        for start in range(0, len(rows), ROWS_TOGETHER_MAX):
            if start:
                await asyncio.sleep(0)
            publish += await self._score([(r.offset, row) for r, row in rows[start : start + ROWS_TOGETHER_MAX]])
        return Outcome(publish)

    async def _score(self, rows: Sequence[tuple[int, FeatureRow]]) -> list[Outgoing]:
        started_ns = time.perf_counter_ns()
        asked: list[Asked] = []
        offsets: list[int] = []
        for offset, row in rows:
            for slot in self.models.slots.values() if row.spine and row.op == "row" else ():
                if slot.definition.event.type != row.event_type or slot.definition.spec.score == "request":
                    continue
                active = slot.active or await self._first(slot)
                if active is None:
                    self.counts.skipped_no_champion += 1
                    continue
                asked.append(Asked(active, case_of_row(row, slot.definition)))
                offsets.append(offset)
        if not asked:
            return []
        scored = await self.desk.score(asked)
        return [self._stream_record(one, offset, started_ns) for one, offset in zip(scored, offsets, strict=True)]

    async def _first(self, slot: Slot) -> Active | None:
        """Wait for a model's first version where only the artifact store keeps it away; raises Unavailable."""
        for _ in range(self.desk.limits.stream_tries):
            if not slot.is_waiting:
                return slot.active
            await asyncio.sleep(self.desk.limits.retry_seconds)
            await self.models.bring_in(slot.definition.name)
        raise Unavailable(f"no version of {slot.definition.name} could be fetched: {slot.failure}")

    def _stream_record(self, scored: Scored, offset: int, started_ns: int) -> Outgoing:
        model, row_id = scored.case.definition.name, scored.case.row_id or ""
        self.counts.scored += 1
        return self._record(scored, ids.stream_prediction_id(model, "answer", "", row_id), started_ns, offset)

    def _record(self, scored: Scored, prediction_id: str, started_ns: int, cause_offset: int | None = None) -> Outgoing:
        latency_us = None if self.clock.is_virtual else (time.perf_counter_ns() - started_ns) // 1_000
        made = prediction(scored, prediction_id, served_us=self.clock.now_us(), latency_us=latency_us)
        self.counts.errors += made.outcome == "error"
        SERVING_PREDICTIONS.labels(made.model, made.via, made.outcome).inc()
        return encode(made, cause_offset=cause_offset)

    async def predict(self, model: str, ask: Ask, *, prediction_id: str | None = None) -> Answer:
        """Answer a question by entity once its record is on disk.

        Raises Refused (`unknown-model`, `features-missing`, or naming a field), Unavailable, ScoringFailed.
        """
        started_ns = time.perf_counter_ns()
        slot, active = self._answering(model, None)
        case = case_of_ask(ask, slot.definition, self.clock.now_us())
        scored = await self.desk.ask(Asked(active, case))
        prediction_id = prediction_id or self.next_id()
        await self._keep(self._record(scored, prediction_id, started_ns))
        scored.check()
        self.counts.answered += 1
        return answer_of(scored, prediction_id)

    async def infer(
        self, model: str, version: str | None, request: InferRequest, *, prediction_id: str | None = None
    ) -> InferResponse:
        """Answer rows of the view's columns once their records are on disk; raises as `predict` does."""
        started_ns = time.perf_counter_ns()
        slot, active = self._answering(model, version)
        output_names(request)
        matrix = matrix_of(request, slot.definition.columns)
        case = Case(slot.definition, "infer", self.clock.now_us(), {}, {})
        rows = scored_rows(case, active, matrix)
        base = prediction_id or self.next_id()
        names = [base] if len(rows) == 1 else [ids.h(base, place) for place in range(len(rows))]
        await self._keep(*(self._record(row, name, started_ns) for row, name in zip(rows, names, strict=True)))
        rows[0].check()
        self.counts.answered += 1
        return response(request, active, model, [row.score or 0.0 for row in rows], names)

    def _answering(self, model: str, version: str | None) -> tuple[Slot, Active]:
        slot = self.models.slots.get(model)
        if slot is None:
            raise Refused("unknown-model", f"{model[:100]!r}; known: {', '.join(sorted(self.models.slots))}")
        if slot.active is None:
            why = f": {slot.failure.text}" if slot.failure else ""
            raise Unavailable(f"no champion yet; see millrace status{why}")
        if version not in (None, slot.active.arm.version):
            raise Refused("unknown-version", f"{model} answers with version {slot.active.arm.version}, not {version}")
        return slot, slot.active

    async def _keep(self, *records: Outgoing) -> None:
        if self.spool is None:
            raise Unavailable("this process has no spool: it scores the stream only")
        await self.spool.keep(*records)
