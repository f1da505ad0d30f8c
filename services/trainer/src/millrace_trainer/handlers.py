"""features in, candidates out; a run for every request, and the bootstrap of the trainer's own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from millrace_common.clock import Clock
from millrace_common.codec import encode
from millrace_common.delivery import decoded
from millrace_common.errors import Refused
from millrace_common.messages import Alert, Candidate, FeatureRow, Label, Position, Promotion, Reason
from millrace_common.metrics import LABELLED_ROWS, RUNS
from millrace_common.records import Batch, Outgoing, TopicPartition
from millrace_common.registry import Registry
from millrace_common.service import Job, JobFailed, Outcome
from millrace_trainer.core.assembly import Entry
from millrace_trainer.core.narrow import Narrow, narrow
from millrace_trainer.core.plan import Course, is_reached, request_of
from millrace_trainer.core.record import ENTRY_POINT
from millrace_trainer.core.tally import Tally
from millrace_trainer.core.task import Ends, Given, Request, Result, Run, Work

log = structlog.get_logger()

RUNS_LISTED_MAX = 200
NOT_SERVING = frozenset({"rejected", "inconclusive"})  # the own attempts then go on, with twice the rows


class Rows(Protocol):
    """Where rows and labels are kept, each offset once."""

    async def append(self, at: TopicPartition, end: int, entries: Sequence[Entry]) -> None:
        """Keep the entries of a batch and the partition's end, both or neither."""
        ...

    def ends(self) -> Ends:
        """Return the end offset of each partition."""
        ...

    def scan(self) -> AsyncIterator[Narrow]:
        """Yield what counting needs of every entry."""
        ...

    def work(self, run: Run) -> Work:
        """Return the payload of a run."""
        ...


class Runs(Protocol):
    """Runs and requests, kept. A run is open until it has an end."""

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs to be done, once each; their requests wait no longer."""
        ...

    def end(self, run: Run, candidate: Candidate) -> None:
        """Note the last word about a run."""
        ...

    def open_runs(self) -> list[Run]:
        """Return the runs to be done, oldest first."""
        ...

    def get(self, run_id: str) -> Run | None:
        """Return one run."""
        ...

    def newest(self, limit: int) -> list[Run]:
        """Return the newest runs, newest first."""
        ...

    def last_bootstrap(self, model: str) -> Run | None:
        """Return a model's latest own attempt."""
        ...

    def ask(self, requests: Sequence[Request]) -> None:
        """Note requests, once each; of a model's requests the newest waits."""
        ...

    def knows(self, request_id: str) -> bool:
        """Say whether a request was noted."""
        ...

    def waiting(self) -> list[Request]:
        """Return the requests that wait, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Trainer:
    """Keeps rows, starts runs, delivers their ends. One process per deployment: it counts all partitions."""

    courses: Mapping[str, Course]
    rows: Rows
    runs: Runs
    clock: Clock
    version: str
    registry: Registry = field(default_factory=Registry)
    tallies: dict[str, Tally] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=lambda: {"rows": 0, "labels": 0, "dead_letters": 0})

    async def recall(self) -> None:
        """Count the rows that are kept already."""
        async for fact in self.rows.scan():
            self._tell(fact)

    async def on_features(self, batch: Batch) -> Outcome:
        """Keep rows and labels; start what they made due.

        The tallies move before the rows are kept: whatever goes wrong in between ends the process, and they are counted
        anew from the rows.
        """
        messages, letters = decoded(batch, FeatureRow, Label, service_version=self.version)
        entries: list[Entry] = [
            (record.partition, record.offset, message)
            for record, message in messages
            if isinstance(message, FeatureRow | Label)
        ]
        for entry in entries:
            self._tell(narrow(entry))
        ends = {**self.rows.ends(), str(batch.at.partition): batch.end}
        due = self._due(ends, self.runs.waiting())

        async def apply() -> None:
            await self.rows.append(batch.at, batch.end, entries)
            self.runs.record(due)
            self._count(entries, letters)

        return Outcome([*letters, *_words(due)], apply)

    async def on_alerts(self, batch: Batch) -> Outcome:
        """Take requests for a run; those whose rows are here start at once, of several for a model the newest."""
        messages, letters = decoded(batch, Alert, service_version=self.version)
        requests = [request_of(alert, topic=FeatureRow.topic) for _, alert in messages]
        fresh = [r for r in requests if r is not None and r.model in self.courses and not self.runs.knows(r.request_id)]
        waiting = {request.model: request for request in (*self.runs.waiting(), *fresh)}
        due = self._due(self.rows.ends(), list(waiting.values()))

        async def apply() -> None:
            self.runs.ask(fresh)
            self.runs.record(due)
            self._count((), letters)

        return Outcome([*letters, *_words(due)], apply)

    async def on_promotions(self, batch: Batch) -> None:
        """Follow the registry: who is champion, and which candidates were rejected."""
        messages, _ = decoded(batch, Promotion, service_version=self.version)
        for record, promotion in messages:
            position = Position(topic=record.topic, partition=record.partition, offset=record.offset)
            self.registry.fold(promotion, record.value or b"", position)
            if self.registry.champion(promotion.model) is not None:
                self.tallies.pop(promotion.model, None)

    async def next(self) -> Job | None:
        """Return the recorded run that is not finished, oldest first."""
        runs = self.runs.open_runs()
        if not runs:
            return None
        work = self.rows.work(runs[0])
        return Job(work.task.run_id, ENTRY_POINT, msgspec.msgpack.encode(work), work.takes_us)

    async def finished(self, job: Job, result: bytes | JobFailed, now_us: int) -> Outcome:
        """Publish a run's end and start what waited for it; a run that was cancelled has had its last word."""
        run = self.runs.get(job.id)
        if run is None or not run.is_open:
            return Outcome()
        candidate = _ended(run, result, now_us)
        due = self._due(self.rows.ends(), self.runs.waiting(), ended=run.task.run_id)

        async def apply() -> None:
            self.runs.end(run, candidate)
            self.runs.record(due)
            RUNS.labels(run.task.model, candidate.status).inc()
            reason = candidate.reason.text if candidate.reason else None
            log.info("run_ended", model=run.task.model, run_id=job.id, status=candidate.status, reason=reason)

        return Outcome([encode(candidate), *_words(due)], apply)

    def listed(self) -> list[Candidate]:
        """Return the latest word about the newest runs, newest first."""
        return [run.candidate for run in self.runs.newest(RUNS_LISTED_MAX)]

    def cancel(self, run_id: str) -> Outcome:
        """Give a run its last word; raises Refused (`unknown-run`, `run-ended`)."""
        run = self.runs.get(run_id)
        if run is None:
            raise Refused("unknown-run", f"no run {run_id}", field="id")
        if not run.is_open:
            raise Refused("run-ended", f"run {run_id} is {run.candidate.status}", field="id")
        reason = Reason(code="cancelled", text="cancelled over HTTP")
        candidate = _with_end(run.candidate, "cancelled", self.clock.now_us(), reason=reason)

        async def apply() -> None:
            self.runs.end(run, candidate)

        return Outcome([encode(candidate)], apply)

    def bring(self, model: str, given: Given) -> tuple[Candidate, Outcome]:
        """Start the run that makes a brought model a candidate; raises Refused (`unknown-model`)."""
        course = self.course(model)
        champion = self.registry.champion(model)
        run = course.imported(
            given,
            cut=self.rows.ends(),
            parent_digest=champion.digest if champion else None,
            now_us=self.clock.now_us(),
        )
        known = self.runs.get(run.task.run_id)
        if known is not None:
            return known.candidate, Outcome()

        async def apply() -> None:
            self.runs.record([run])

        return run.candidate, Outcome([encode(run.candidate)], apply)

    def course(self, model: str) -> Course:
        """Return a model's course; raises Refused (`unknown-model`)."""
        course = self.courses.get(model)
        if course is None:
            known = ", ".join(sorted(self.courses))
            raise Refused("unknown-model", f"{model!r}; known: {known}", field="model")
        return course

    def _due(self, ends: Ends, waiting: Sequence[Request], *, ended: str | None = None) -> list[Run]:
        busy = {run.task.model for run in self.runs.open_runs() if run.task.run_id != ended}
        asked = {request.model: request for request in waiting if is_reached(request.cut, ends)}
        runs = []
        for model, course in self.courses.items():
            if model in busy:
                continue
            champion = self.registry.champion(model)
            parent = champion.digest if champion else None
            now_us = self.clock.now_us()
            if model in asked:
                runs.append(course.run(asked[model], cut=ends, parent_digest=parent, now_us=now_us))
            elif (attempt := self._bootstrap(course)) is not None:
                request = course.bootstrap(attempt, now_us)
                runs.append(course.run(request, cut=ends, parent_digest=parent, now_us=now_us, bootstrap=attempt))
        return runs

    def _bootstrap(self, course: Course) -> int | None:
        """Return the number of the own attempt that is due: the last one failed, and twice its rows are labelled."""
        tally = self.tallies.get(course.spec.name)
        if tally is None or tally.labelled < course.bootstrap_rows(1):
            return None
        last = self.runs.last_bootstrap(course.spec.name)
        attempt = 1 if last is None else (last.bootstrap or 0) + 1
        if last is not None and not self._came_to_nothing(last):
            return None
        return attempt if tally.labelled >= course.bootstrap_rows(attempt) else None

    def _came_to_nothing(self, run: Run) -> bool:
        if run.candidate.status in ("refused", "failed", "cancelled"):
            return True
        if run.candidate.candidate_id is None:
            return False
        return any(
            step.promotion.to_state in NOT_SERVING and step.promotion.candidate_id == run.candidate.candidate_id
            for step in self.registry.history(run.task.model)
        )

    def _tell(self, fact: Narrow) -> None:
        for tally in self.tallies.values():
            if fact.event_type != tally.lesson.event_type:
                continue
            if fact.kind == "row" and fact.counts:
                tally.row(fact.event_id, fact.time_us)
            elif fact.kind == "label" and fact.name == tally.lesson.label:
                tally.label(fact.event_id, (fact.time_us, fact.partition, fact.offset), given=fact.counts)

    def _count(self, entries: Sequence[Entry], letters: Sequence[Outgoing]) -> None:
        rows = sum(isinstance(message, FeatureRow) for _, _, message in entries)
        self.counted["rows"] += rows
        self.counted["labels"] += len(entries) - rows
        self.counted["dead_letters"] += len(letters)
        for model, tally in self.tallies.items():
            LABELLED_ROWS.labels(model).set(tally.labelled)


def _words(runs: Sequence[Run]) -> list[Outgoing]:
    for run in runs:
        log.info("run_started", model=run.task.model, run_id=run.task.run_id, trigger=run.task.trigger.kind)
    return [encode(run.candidate) for run in runs]


def _ended(run: Run, result: bytes | JobFailed, now_us: int) -> Candidate:
    if isinstance(result, JobFailed):
        return _with_end(run.candidate, "failed", now_us, reason=Reason(code="job-failed", text=str(result)[-1_000:]))
    end = msgspec.msgpack.decode(result, type=Result)
    learnt = {name: getattr(end, name) for name in Result.__struct_fields__ if name not in ("status", "reason")}
    return msgspec.structs.replace(_with_end(run.candidate, end.status, now_us, reason=end.reason), **learnt)


def _with_end(started: Candidate, status: str, now_us: int, *, reason: Reason | None) -> Candidate:
    return msgspec.structs.replace(started, status=status, reason=reason, finished_us=now_us)
