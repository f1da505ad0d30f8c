"""Rows, labels, predictions, candidates and promotions in; alerts out.

Every message only adds to what was gathered. When enough is gathered a cut is taken and stored; a later step judges it
and publishes what follows. So what is said depends on what was written down before, and a crash anywhere leads to the
same alerts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

from millrace_common.clock import Clock
from millrace_common.codec import encode, encode_value
from millrace_common.delivery import decoded
from millrace_common.errors import Fenced, Refused
from millrace_common.messages import Alert, Arm, Candidate, FeatureRow, Label, Offsets, Position, Prediction, Promotion
from millrace_common.messages.alert import Loop
from millrace_common.metrics import ALERTS, EVIDENCE, INCIDENTS, LOOP_SECONDS, MODEL_ACCURACY
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.registry import Registry
from millrace_common.service import Outcome
from millrace_monitor.core.cut import Candidated
from millrace_monitor.core.feed import Feed
from millrace_monitor.core.profile import parse
from millrace_monitor.core.saved import Changes, Head
from millrace_monitor.core.saved import encode as document
from millrace_monitor.core.status import Status, status_of
from millrace_monitor.core.turns import Turns
from millrace_monitor.core.watch import UnknownModel, Watch

log = structlog.get_logger()


class State(Protocol):
    """Where the memory is kept."""

    @property
    def is_durable(self) -> bool:
        """Say whether anything outlives the process, so that changes are worth encoding."""
        ...

    async def cursor(self, at: TopicPartition) -> int | None:
        """Return the stored offset to read next."""
        ...

    async def save(self, changes: Sequence[Changes]) -> None:
        """Store steps in order, all of them or none."""
        ...


class Artifacts(Protocol):
    """Where artifacts lie."""

    async def get(self, uri: str, digest: str) -> dict[str, bytes]:
        """Return the files of an artifact; raises Refused where they are not what the digest says."""
        ...


@dataclass(frozen=True, slots=True)
class Monitor:
    """Watches every model of the deployment. `positions` are offsets to be read next as handled, `stored` as stored."""

    watches: Mapping[str, Watch]
    registry: Registry
    state: State
    artifacts: Artifacts
    clock: Clock
    version: str
    positions: dict[TopicPartition, int]
    stored: dict[TopicPartition, int]
    feed: Feed = field(default_factory=Feed)
    turns: Turns = field(default_factory=Turns)

    async def on_features(self, batch: Batch) -> Outcome:
        """Take spine rows and labels."""
        messages, letters = decoded(batch, FeatureRow, Label, service_version=self.version)
        said = self._speak()
        for _, message in messages:
            for watch in self.watches.values():
                if isinstance(message, FeatureRow):
                    watch.intake.row(message)
                elif isinstance(message, Label):
                    watch.intake.label(message)
        return self._step(said, letters, batch)

    async def on_predictions(self, batch: Batch) -> Outcome:
        """Take answers."""
        messages, letters = decoded(batch, Prediction, service_version=self.version)
        said = self._speak()
        for record, prediction in messages:
            watch = self.watches.get(prediction.model)
            if watch is not None:
                watch.intake.prediction(prediction, record)
        return self._step(said, letters, batch)

    async def on_candidates(self, batch: Batch) -> Outcome:
        """Take what became of training runs."""
        messages, letters = decoded(batch, Candidate, service_version=self.version)
        said = self._speak()
        for _, candidate in messages:
            watch = self.watches.get(candidate.model)
            if watch is not None and candidate.status != "started":
                watch.intake.note(
                    Candidated(candidate.trigger.request_id, candidate.candidate_id, candidate.status, candidate.at_us)
                )
        return self._step(said, letters, batch)

    async def on_promotions(self, batch: Batch) -> Outcome:
        """Take rollout steps that count; fetch the reference of each new champion before anything changes."""
        messages, letters = decoded(batch, Promotion, service_version=self.version)
        fetched = {
            arm.digest: await self._profile(arm)
            for _, promotion in messages
            for arm in promotion.arms
            if promotion.model in self.watches and arm.role == "answer"
        }
        said = self._speak()
        documents: dict[str, bytes] = {}
        for record, promotion in messages:
            position = Position(topic=record.topic, partition=record.partition, offset=record.offset)
            value = record.value or b""
            if self.registry.fold(promotion, value, position) is None:
                log.warning("promotion_void", model=promotion.model, epoch=promotion.epoch, offset=record.offset)
                continue
            documents[f"head:{promotion.model}"] = document(Head(value, position))
            watch = self.watches.get(promotion.model)
            if watch is not None:
                documents |= watch.turn(promotion, self.registry.champion(promotion.model), fetched)
        return self._step(said, letters, batch, documents)

    async def on_alerts(self, batch: Batch) -> None:
        """Follow what was said, with its offsets. Foreign bytes on the topic are nobody's alert."""
        messages, letters = decoded(batch, Alert, service_version=self.version)
        for record, alert in messages:
            self.feed.add(record.offset, encode_value(alert))
        if letters:
            log.warning("alerts_unreadable", count=len(letters))

    async def on_tick(self, now_us: int) -> Outcome:
        """Judge what waits when no message comes to give occasion."""
        return self._step(self._speak(), [])

    async def train(self, model: str) -> str:
        """Ask for a new model by hand; return the request's id. Raises UnknownModel, AlreadyAsked."""
        watch = self.watches.get(model)
        if watch is None:
            raise UnknownModel(f"{model!r} is not watched; there are: {', '.join(sorted(self.watches)) or 'none'}")
        request_id = watch.ask()
        await self._step([], []).apply()
        return request_id

    def status(self) -> Status:
        """Return what is known now."""
        positions: dict[str, dict[str, int]] = {}
        for at, end in sorted(self.positions.items()):
            positions.setdefault(at.topic, {})[str(at.partition)] = end
        models = tuple(status_of(one.pipeline, one.intake.gathered, one.judge) for one in self.watches.values())
        return Status(self.clock.now_us(), models, positions, self.feed.end)

    def counts(self) -> Mapping[str, int]:
        """Return what the runner shows of this service."""
        intakes = [watch.intake for watch in self.watches.values()]
        return {
            "predictions": sum(one.gathered.predictions for one in intakes),
            "graded": sum(one.gathered.accuracy.total.n for one in intakes),
            "label_orphans": sum(one.gathered.orphans for one in intakes),
            "events_waiting": sum(len(one.join.entries) for one in intakes),
            "alerts": self.feed.end,
        }

    async def start(self, at: TopicPartition, committed: int | None) -> int | None:
        """Go on where the stored memory stands (Cursors); Fenced where this process handled more than was stored."""
        stored = await self.state.cursor(at)
        if self.positions.get(at) != stored:
            raise Fenced(f"{at.topic}[{at.partition}]: offset {self.positions.get(at)} was handled, {stored} is stored")
        return stored

    async def check(self, at: TopicPartition) -> None:
        """Raise Fenced when the stored memory is not as this process left it (Cursors)."""
        stored = await self.state.cursor(at)
        if stored != self.stored.get(at):
            raise Fenced(f"{at.topic}[{at.partition}]: {self.stored.get(at)} was stored, the state now says {stored}")

    def drop(self, at: TopicPartition) -> None:
        """Keep the memory of a partition that was taken away: it is one whole, on this machine's disk (Cursors)."""

    async def _profile(self, arm: Arm) -> bytes | None:
        try:
            files = await self.artifacts.get(arm.artifact_uri, arm.digest)
            parse(files.get("profile.json", b""))
        except Refused as refusal:
            log.warning("profile_unreadable", version=arm.version, digest=arm.digest, reason=str(refusal))
            return None
        return files["profile.json"]

    def _speak(self) -> list[Alert]:
        """Judge every cut that is stored."""
        said: list[Alert] = []
        for watch in self.watches.values():
            if watch.is_written:
                said.extend(watch.speak())
                _measure(watch)
        for alert in said:
            ALERTS.labels(alert.kind, alert.state).inc()
            if alert.loop is not None:
                _measure_loop(alert.loop, alert.model or "")
            log.info("alert_said", model=alert.model, kind=alert.kind, state=alert.state, alert_id=alert.alert_id)
        return said

    def _step(
        self,
        said: Sequence[Alert],
        letters: Sequence[Outgoing],
        batch: Batch | None = None,
        documents: Mapping[str, bytes] | None = None,
    ) -> Outcome:
        """End a step: take the cuts that are due, and return what is to be published and stored."""
        cause = None
        if batch is not None:
            self.positions[batch.at] = batch.end
            cause = batch.end - 1
        now_us = self.clock.now_us()
        cut = [watch for watch in self.watches.values() if watch.intake.is_due(now_us)]
        for watch in cut:
            watch.intake.take_cut(self._ends(), now_us)
        publish = [*letters, *(encode(alert, cause_offset=cause) for alert in said)]
        changes = self._changes(batch, documents or {})
        return Outcome(publish, partial(self._store, self.turns.take(), changes, cut))

    def _ends(self) -> Offsets:
        ends: Offsets = {}
        for at, end in sorted(self.positions.items()):
            ends.setdefault(at.topic, {})[str(at.partition)] = (0, end)
        return ends

    def _changes(self, batch: Batch | None, documents: Mapping[str, bytes]) -> Changes:
        everything, entries = dict(documents), {}
        for watch in self.watches.values():
            if self.state.is_durable:
                changed, entries[watch.model] = watch.changes()
                everything |= changed
            else:
                watch.forget_changes()
        return Changes(everything, entries, *((batch.at, batch.end) if batch else ()))

    async def _store(self, turn: int, changes: Changes, cut: Sequence[Watch]) -> None:
        ready = self.turns.settle(turn, changes, cut)
        if not ready:
            return
        await self.state.save([one for one, _ in ready])
        for one, written in ready:
            if one.at is not None:
                self.stored[one.at] = one.end
            for watch in written:
                watch.is_written = True


def _measure(watch: Watch) -> None:
    """Show what was judged as metrics."""
    model, judge, accuracy = watch.model, watch.judge, watch.intake.gathered.accuracy
    for kind, tally in (("realised", accuracy.total), ("last_known", accuracy.last_known)):
        if tally.share is not None:
            MODEL_ACCURACY.labels(model, kind).set(tally.share)
    for kind in ("drift", "quality", "performance", "serving"):
        INCIDENTS.labels(model, kind).set(kind in judge.incidents)
    if judge.concept is not None:
        EVIDENCE.labels(model, "performance").set(judge.concept.level)
    if judge.pager is not None:
        EVIDENCE.labels(model, "drift").set(judge.pager.level)


def _measure_loop(loop: Loop, model: str) -> None:
    """Show how long each step of the last closed loop took."""
    steps = {
        "detected": loop.detected_us,
        "requested": loop.requested_us,
        "candidate": loop.candidate_us,
        "promoted": loop.promoted_us,
        "first_prediction": loop.first_prediction_us,
    }
    before_us = loop.detected_us if loop.changed_us is None else loop.changed_us
    for step, at_us in steps.items():
        LOOP_SECONDS.labels(model, step).set((at_us - before_us) / 1e6)
        before_us = at_us
