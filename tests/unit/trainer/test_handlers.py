"""When a run starts, what is said about it, and what a restart finds."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.fakes.trainer import Log, deployment, history, host, label, promotion, retrain, row

from millrace.spec import Deployment, TrainingSpec
from millrace_common.codec import decode
from millrace_common.job import run_inline
from millrace_common.messages import Arm, Candidate, FeatureRow, Label, Message
from millrace_common.records import Batch, Outgoing, Record, TopicPartition
from millrace_common.service import JobFailed
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.sqlite_runs import SqliteRuns
from millrace_trainer.core.task import Result
from millrace_trainer.handlers import Trainer
from millrace_trainer.service import trainer_of

READY = msgspec.msgpack.encode(Result(status="ready", candidate_id="c1"))


@dataclass(slots=True)
class Stage:
    """A trainer, and what it said. `state` None keeps the runs in memory."""

    of: Deployment = field(default_factory=lambda: deployment(training=TrainingSpec(bootstrap_rows=100)))
    state: Path | None = None
    features: Log = field(default_factory=lambda: Log("features"))
    alerts: Log = field(default_factory=lambda: Log("drift-alerts"))
    promotions: Log = field(default_factory=lambda: Log("promotions"))
    said: list[Candidate] = field(default_factory=list)
    trainer: Trainer = field(init=False)

    def __post_init__(self) -> None:
        """Wire the trainer."""
        self.trainer = trainer_of(host(self.of), rows=MemoryRows("memory://x"), runs=SqliteRuns.open(self.state))

    async def tell(self, messages: list[FeatureRow | Label]) -> list[str]:
        """Hand over rows and labels, settle, and return what was said."""
        return await self._settle(await self.trainer.on_features(self.features.batch(messages)))

    async def ask(self, *alerts: Message) -> list[str]:
        """Hand over alerts, settle, and return what was said."""
        return await self._settle(await self.trainer.on_alerts(self.alerts.batch(alerts)))

    async def promote(self, **facts: object) -> None:
        """Let the registry take one more step."""
        chain = self.trainer.registry.history("fraud")
        prev = chain[-1].hash if chain else None
        await self.trainer.on_promotions(self.promotions.batch([promotion(epoch=len(chain) + 1, prev=prev, **facts)]))

    async def end(self, result: bytes | JobFailed = READY) -> list[str]:
        """End the run that is to be done, and return what was said."""
        job = await self.trainer.next()
        assert job is not None
        return await self._settle(await self.trainer.finished(job, result, 99))

    async def _settle(self, outcome: object) -> list[str]:
        publish: list[Outgoing] = list(outcome.publish)  # type: ignore[attr-defined]  # an Outcome
        await outcome.apply()  # type: ignore[attr-defined]  # an Outcome
        candidates = []
        for out in publish:
            message = decode(Record(out.topic, 0, 0, out.key, out.value, out.headers, 0))
            assert isinstance(message, Candidate)
            candidates.append(message)
        self.said.extend(candidates)
        return [f"{c.trigger.kind} {c.trigger.request_id} {c.status}" for c in candidates]


async def test_the_bootstrap_waits_for_labelled_rows() -> None:
    """N labelled rows start the first run, once; rows without labels do not count."""
    stage = Stage()
    assert await stage.tell([row(i) for i in range(1_000, 1_200)]) == []
    assert await stage.tell(history(99)) == []
    assert await stage.tell(history(1, first=99)) == ["bootstrap bootstrap-1 started"]
    assert await stage.tell(history(300, first=100)) == []
    assert await stage.end() == ["bootstrap bootstrap-1 ready"]
    assert await stage.tell(history(50, first=400)) == []
    assert await stage.trainer.next() is None


async def test_a_rejection_doubles_the_rows() -> None:
    """After the gatekeeper's rejection the next attempt waits for 2N labelled rows, then 4N."""
    stage = Stage()
    await stage.tell(history(100))
    await stage.end()
    await stage.promote(candidate_id="other")
    assert await stage.tell(history(150, first=100)) == []
    await stage.promote(candidate_id="c1")
    assert await stage.tell([row(999)]) == ["bootstrap bootstrap-2 started"]
    await stage.end(JobFailed("killed"))
    assert await stage.tell(history(149, first=250)) == []
    assert await stage.tell(history(1, first=399)) == ["bootstrap bootstrap-3 started"]


async def test_a_champion_ends_the_bootstrap() -> None:
    """Once somebody serves, the trainer starts nothing of its own and knows the parent of what it is asked for."""
    stage = Stage()
    arm = Arm(name="a", role="answer", version="1", digest="d", artifact_uri="u", view_hash="v", weight_bp=10_000)
    await stage.promote(to_state="champion", arms=(arm,))
    assert await stage.tell(history(200)) == []
    assert stage.trainer.tallies == {}
    assert await stage.ask(retrain("q")) == ["performance q started"]
    assert stage.said[-1].parent_digest == "d"


async def test_a_request_is_obeyed_once() -> None:
    """A request starts one run, with its correlation; the same request again starts none."""
    stage = Stage()
    await stage.tell(history(20))
    assert await stage.ask(retrain("q")) == ["performance q started"]
    assert (stage.said[-1].correlation_id, stage.said[-1].causation_id) == ("corr", "a-q")
    assert await stage.ask(retrain("q")) == []
    assert await stage.end() == ["performance q ready"]
    assert await stage.ask(retrain("q")) == []
    assert await stage.trainer.next() is None


async def test_requests_coalesce_while_a_run_is_on() -> None:
    """One run at a time for a model: of the requests that come meanwhile the newest starts after it."""
    stage = Stage()
    await stage.tell(history(20))
    await stage.ask(retrain("q1"))
    assert await stage.ask(retrain("q2"), retrain("q3")) == []
    assert await stage.ask(retrain("q4")) == []
    assert await stage.end() == ["performance q1 ready", "performance q4 started"]
    assert await stage.end() == ["performance q4 ready"]


async def test_a_request_waits_for_the_rows_its_author_saw() -> None:
    """A run does not start on fewer rows than the monitor judged by."""
    stage = Stage()
    assert await stage.ask(retrain("q", cut=40)) == []
    assert await stage.tell(history(19)) == []
    assert await stage.tell(history(1, first=19)) == ["performance q started"]
    assert stage.trainer.runs.open_runs()[0].task.cut == {"0": 40}


async def test_other_alerts_and_other_models_start_nothing() -> None:
    """Only a request for a model of this deployment is one."""
    stage = Stage()
    resolved = msgspec.structs.replace(retrain("a"), state="resolved")
    drift = msgspec.structs.replace(retrain("b"), kind="drift")
    foreign = msgspec.structs.replace(retrain("c"), model="other")
    assert await stage.ask(resolved, drift, foreign) == []


async def test_a_run_that_dies_is_said_to_have_failed() -> None:
    """The end of a job's log is the reason."""
    stage = Stage()
    await stage.ask(retrain("q"))
    assert await stage.end(JobFailed("out of memory")) == ["performance q failed"]
    assert stage.said[-1].reason is not None
    assert stage.said[-1].reason.text == "out of memory"
    assert stage.said[-1].finished_us == 99


async def test_a_refused_run_says_why() -> None:
    """The job's real answer on too few rows becomes a refused candidate."""
    stage = Stage()
    await stage.tell(history(12))
    await stage.ask(retrain("q"))
    job = await stage.trainer.next()
    assert job is not None
    assert await stage.end(run_inline(job)) == ["performance q refused"]
    assert stage.said[-1].reason is not None
    assert stage.said[-1].reason.code == "too-few-rows"


async def test_a_cancelled_run_has_had_its_last_word() -> None:
    """After a cancel the job's end says nothing more, and the next request starts."""
    stage = Stage()
    await stage.ask(retrain("q"))
    job = await stage.trainer.next()
    assert job is not None
    assert await stage._settle(stage.trainer.cancel(job.id)) == ["performance q cancelled"]
    assert await stage._settle(await stage.trainer.finished(job, READY, 99)) == []
    assert await stage.ask(retrain("q2")) == ["performance q2 started"]


async def test_a_restart_finds_the_recorded_run(tmp_path: Path) -> None:
    """A run recorded before a crash is done after it: the same id, the same task."""
    state = tmp_path / "state.sqlite"
    before = Stage(state=state)
    await before.tell(history(100))
    job = await before.trainer.next()
    assert job is not None
    after = Stage(state=state)
    resumed = await after.trainer.next()
    assert resumed is not None
    assert (resumed.id, resumed.target, resumed.virtual_us) == (job.id, job.target, job.virtual_us)
    assert after.trainer.runs.open_runs() == before.trainer.runs.open_runs()
    assert await after.end() == ["bootstrap bootstrap-1 ready"]
    assert await Stage(state=state).trainer.next() is None


async def test_rows_are_recalled_at_start() -> None:
    """What was kept before a restart counts after it."""
    stage = Stage()
    rows = MemoryRows("memory://x")
    kept = history(99)
    await rows.append(TopicPartition("features", 0), 198, [(0, offset, message) for offset, message in enumerate(kept)])
    stage.trainer = trainer_of(host(stage.of), rows=rows, runs=SqliteRuns.open(None))
    await stage.trainer.recall()
    stage.features.end = 198
    assert await stage.tell([row(99), label(99, True)]) == ["bootstrap bootstrap-1 started"]


async def test_what_does_not_decode_is_a_dead_letter() -> None:
    """Garbage on our topics goes to the dead-letter topic with its place, and the rest of the batch counts."""
    stage = Stage()
    batch = stage.features.batch(history(1))
    garbage = Record("features", 0, 2, b"k", b"{", (), 0)
    outcome = await stage.trainer.on_features(Batch(batch.at, [*batch.records, garbage]))
    assert [out.topic for out in outcome.publish] == ["features.dlq"]
    await outcome.apply()
    assert stage.trainer.counted == {"rows": 1, "labels": 1, "dead_letters": 1}
    assert stage.trainer.rows.ends() == {"0": 3}
