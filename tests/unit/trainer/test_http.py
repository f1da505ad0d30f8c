"""The trainer's HTTP door: runs listed and cancelled, models imported, errors that name the field."""

from pathlib import Path

import httpx
import pytest
from tests.fakes.trainer import Log, Sent, deployment, history, host, retrain
from tests.unit.trainer.test_job import done, files_of, work_of

from millrace_common.artifacts import ArtifactStore
from millrace_common.codec import decode
from millrace_common.messages import Candidate
from millrace_common.records import Record
from millrace_trainer.adapters.imports import Imports
from millrace_trainer.adapters.memory_rows import MemoryRows
from millrace_trainer.adapters.sqlite_runs import SqliteRuns
from millrace_trainer.service import trainer_of, wired


class Door:
    """A trainer behind its HTTP application."""

    def __init__(self, url: str) -> None:
        self.sent = Sent()
        surroundings = host(deployment(), self.sent)
        rows = MemoryRows(url)
        self.trainer = trainer_of(surroundings, rows=rows, runs=SqliteRuns.open(None))
        service = wired(self.trainer, surroundings, rows=rows, imports=Imports(ArtifactStore.open(url)))
        assert service.app is not None
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://trainer")

    def said(self) -> list[Candidate]:
        """Return what was published."""
        found = []
        for out in self.sent.records:
            message = decode(Record(out.topic, 0, 0, out.key, out.value, out.headers, 0))
            assert isinstance(message, Candidate)
            found.append(message)
        return found

    async def settle(self) -> None:
        """Ask for a run."""
        outcome = await self.trainer.on_alerts(Log("drift-alerts").batch([retrain("q")]))
        await outcome.apply()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """Return a trainer with nothing done yet."""
    return Door(tmp_path.as_uri())


async def test_runs_are_listed_and_cancelled(door: Door) -> None:
    """A recorded run is listed; a cancel is published before it is answered; a second one conflicts."""
    assert (await door.http.get("/v1/runs")).json() == {"runs": []}
    await door.settle()
    run = (await door.http.get("/v1/runs")).json()["runs"][0]
    assert run["status"] == "started"
    answer = await door.http.post(f"/v1/runs/{run['run_id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert [c.status for c in door.said()] == ["cancelled"]
    assert (await door.http.post(f"/v1/runs/{run['run_id']}/cancel")).status_code == 409
    unknown = await door.http.post("/v1/runs/none/cancel")
    assert unknown.status_code == 404
    assert "no run none" in unknown.json()["error"]


async def test_a_model_is_imported_by_path_and_by_upload(door: Door, tmp_path: Path) -> None:
    """A fitting ONNX file is stored and started once, however often it is sent."""
    model = files_of(done(await work_of(history(300), tmp_path.as_uri())), tmp_path.as_uri())["model.onnx"]
    (tmp_path / "model.onnx").write_bytes(model)
    by_path = await door.http.post("/v1/models/fraud/import", json={"uri": str(tmp_path / "model.onnx")})
    assert by_path.status_code == 202, by_path.text
    uploaded = await door.http.post(
        "/v1/models/fraud/import", content=model, headers={"content-type": "application/octet-stream"}
    )
    assert uploaded.json() == by_path.json()
    assert [(c.status, c.trigger.kind, c.estimator) for c in door.said()] == [("started", "import", "imported")]
    job = await door.trainer.next()
    assert job is not None
    assert job.id == by_path.json()["run_id"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{", 422, "body"),
        (b'{"path": "x"}', 422, "body"),
        (b'{"uri": "/no/such/file"}', 422, "uri"),
        (b'{"uri": "http://example.org/model.onnx"}', 422, "uri"),
    ],
)
async def test_a_wrong_import_names_the_field(door: Door, body: bytes, status: int, text: str) -> None:
    """Each mistake is answered with the field and what to mend."""
    answer = await door.http.post("/v1/models/fraud/import", content=body)
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert door.sent.records == []


async def test_a_model_of_another_width_is_refused(door: Door, tmp_path: Path) -> None:
    """The view's width is checked before anything is stored, published or run."""
    url = tmp_path.as_uri()
    model = files_of(done(await work_of(history(300), url)), url)["model.onnx"]
    onnx = {"content-type": "application/octet-stream"}
    wrong = model.replace(b"features", b"featurez")
    answer = await door.http.post("/v1/models/fraud/import", content=wrong, headers=onnx)
    assert answer.status_code == 422
    assert "features" in answer.json()["error"]
    garbage = await door.http.post("/v1/models/fraud/import", content=b"no model", headers=onnx)
    assert garbage.status_code == 422
    assert "onnx-unreadable" in garbage.json()["error"]
    assert (await door.http.post("/v1/models/other/import", json={"uri": "x"})).status_code == 404
    assert door.sent.records == []
