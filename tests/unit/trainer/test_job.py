"""A run makes the same artifact from the same task, and refuses what should not serve."""

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.fakes.trainer import Log, deployment, history, label, row

from millrace.spec import EstimatorSpec, TrainingSpec
from millrace_common import profiles
from millrace_common.artifacts import ArtifactStore
from millrace_common.ids import sha256
from millrace_common.messages import FeatureRow, Label
from millrace_trainer.adapters import job
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.onnx_model import OnnxModel
from millrace_trainer.core.plan import courses
from millrace_trainer.core.task import Given, Result, Run, Work

FILES = {"model.onnx", "profile.json", "gate.parquet", "golden.json", "record.json", "README.md", "explain.lgb.txt"}


async def work_of(
    messages: list[FeatureRow | Label],
    url: str,
    *,
    estimator: EstimatorSpec | None = None,
    training: TrainingSpec | None = None,
    given: Given | None = None,
) -> Work:
    """Return the payload of a run on messages."""
    rows = MemoryRows(url)
    batch = Log("features").batch(messages)
    await rows.append(batch.at, batch.end, [(0, offset, message) for offset, message in enumerate(messages)])
    course = courses(deployment(estimator=estimator, training=training), topic="features", version="0")["fraud"]
    run: Run = course.run(course.bootstrap(1, 5), cut=rows.ends(), parent_digest="p", now_us=7)
    if given is not None:
        run = course.imported(given, cut=rows.ends(), parent_digest=None, now_us=7)
    return rows.work(run)


def done(work: Work) -> Result:
    """Do the run, as a child process does."""
    return msgspec.msgpack.decode(job.run(msgspec.msgpack.encode(work)), type=Result)


def files_of(result: Result, url: str) -> dict[str, bytes]:
    """Return the files of a run's artifact."""
    assert result.artifact is not None, result.reason
    return ArtifactStore.open(url).read(result.artifact.uri, result.artifact.digest)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an empty artifact store."""
    return tmp_path.as_uri()


async def test_the_same_task_makes_the_same_artifact(url: str) -> None:
    """Run twice, in two stores, a task gives the same digests to the byte."""
    work = await work_of(history(300), url)
    first, second = done(work), done(msgspec.structs.replace(work, artifacts_url="memory://elsewhere"))
    assert first.artifact is not None
    assert second.artifact is not None
    assert first.artifact.digest == second.artifact.digest
    assert first.candidate_id == second.candidate_id
    assert (first.metrics, first.data) == (second.metrics, second.data)


async def test_the_artifact_is_whole(url: str) -> None:
    """All files are there, the digests in the result are theirs, and the model is better than the majority."""
    result = done(await work_of(history(600), url))
    files = files_of(result, url)
    assert set(files) == FILES
    assert result.record_digest == sha256(files["record.json"])
    assert result.profile_digest == sha256(files["profile.json"])
    assert set(result.metrics) == {"fit", "tune", "gate", "gate_baseline"}
    gate = result.metrics["gate"]
    assert gate["accuracy"].value > gate["majority"].value + 0.2
    assert result.data is not None
    assert result.data.rows == 600
    assert result.data.splits["gate"].n == gate["accuracy"].n == 120
    record = json.loads(files["record.json"])
    assert record["data"]["dataset_digest"] == result.data.dataset_digest
    assert record["onnx"]["parity"]["flips"] == 0
    assert files["README.md"].startswith(b"---\nlicense:")


async def test_golden_answers_repeat(url: str) -> None:
    """The model in the artifact gives the answers in golden.json, the first of them for a row with nothing in it."""
    files = files_of(done(await work_of(history(300), url)), url)
    golden = json.loads(files["golden.json"])
    inputs = np.array(golden["inputs"], np.float32)
    assert np.isnan(inputs[0]).all()
    labels, probabilities = OnnxModel.load(files["model.onnx"], columns=3).run(inputs)
    assert labels.tolist() == golden["label"]
    assert np.abs(probabilities - golden["probabilities"]).max() <= golden["tolerance"]


async def test_gate_rows_are_the_newest_and_carry_native_scores(url: str) -> None:
    """gate.parquet holds the newest rows, whose scores the ONNX model repeats."""
    files = files_of(done(await work_of(history(300), url)), url)
    gate = pq.read_table(io.BytesIO(files["gate.parquet"])).to_pydict()
    assert gate["__event_id"] == [f"e{i}" for i in range(240, 300)]
    assert gate["__entity"][0] == "card2"
    assert set(gate["__label"]) == {0, 1}
    x = np.array([gate["amount"], gate["n"], gate["ratio"]], np.float32).T
    _, probabilities = OnnxModel.load(files["model.onnx"], columns=3).run(np.ascontiguousarray(x))
    assert np.abs(probabilities[:, 1] - gate["__score"]).max() < 1e-5


async def test_the_profile_is_of_the_tune_rows(url: str) -> None:
    """Each column and the score count the tune rows, missing ones as null; reference windows are there."""
    profile = profiles.decode(files_of(done(await work_of(history(600), url)), url)["profile.json"])
    assert [column.name for column in profile.columns] == ["amount", "n", "ratio"]
    assert all(sum(column.counts) == 90 for column in (*profile.columns, profile.score))
    assert profile.columns[0].counts[-1] == sum(i % 11 == 0 for i in range(390, 480))
    assert set(profile.reference_windows) == {"amount", "n", "ratio", "__score"}
    assert profile.window_rows == 22
    assert len(profile.reference_windows["n"].ks) > 30
    assert profile.accuracy.n == 90
    assert profile.threshold == 0.5


async def test_logistic_regression_is_an_estimator_too(url: str) -> None:
    """It converts within the tolerance; it has no text for attributions."""
    result = done(await work_of(history(300), url, estimator=EstimatorSpec("logistic", {"C": 0.5})))
    assert set(files_of(result, url)) == FILES - {"explain.lgb.txt"}
    assert result.metrics["gate"]["accuracy"].value > 0.75


@pytest.mark.parametrize(
    ("messages", "estimator", "code"),
    [
        (history(20), None, "too-few-rows"),
        ([m for i in range(100) for m in (row(i), label(i, False))], None, "one-class"),
        (history(100), EstimatorSpec("forest"), "unknown-estimator"),
        (history(100), EstimatorSpec("lightgbm", {"linear_tree": True}), "unsafe-parameter"),
        (history(100), EstimatorSpec("lightgbm", {"num_leaves": -1}), "bad-parameter"),
        (history(100), EstimatorSpec("logistic", {"solver": "x"}), "unknown-parameter"),
        (history(100), EstimatorSpec("logistic", {"C": -1.0}), "bad-parameter"),
    ],
)
async def test_what_cannot_serve_is_refused(
    url: str, messages: list[FeatureRow | Label], estimator: EstimatorSpec | None, code: str
) -> None:
    """A refusal is a result with a reason, not a crash, and stores nothing."""
    result = done(await work_of(messages, url, estimator=estimator))
    assert result.reason is not None
    assert (result.status, result.reason.code, result.artifact) == ("refused", code, None)


async def test_a_brought_model_becomes_a_candidate(url: str) -> None:
    """An import gets our gate rows, golden answers and profile; what is not made for the view is refused."""
    made = files_of(done(await work_of(history(300), url)), url)
    artifact = ArtifactStore.open(url).write({"model.onnx": made["model.onnx"]})
    given = Given(uri=artifact.uri, digest=artifact.digest)
    result = done(await work_of(history(300), url, given=given))
    files = files_of(result, url)
    assert set(files) == FILES - {"explain.lgb.txt"}
    same = ["__event_id", "__label", "__time_us", "n"]
    ours, theirs = (pq.read_table(io.BytesIO(each["gate.parquet"]), columns=same) for each in (made, files))
    assert ours.equals(theirs)
    assert json.loads(files["record.json"])["given"]["digest"] == artifact.digest
    broken = ArtifactStore.open(url).write({"model.onnx": made["model.onnx"][:-9]})
    refused = done(await work_of(history(300), url, given=Given(uri=broken.uri, digest=broken.digest)))
    assert refused.reason is not None
    assert refused.reason.code == "onnx-unreadable"
