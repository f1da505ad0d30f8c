"""Bad questions and bad models against a running platform: what docs/reference/bad-input.md says."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.bad_input_page import proves, rows
from tests.e2e.live_platform import Live, until
from tests.e2e.live_topics import Raw, sent, tail

from millrace_common.codec import decode, encode
from millrace_common.messages import Candidate
from millrace_common.records import Record

CARD, FIELDS = {"card": "c1"}, {"amount": 12.5, "online": True}
PREDICT, INFER = "/v1/models/fraud/predict", "/v2/models/fraud/infer"
COLUMNS = 12


def tensor(columns: int = COLUMNS) -> dict[str, object]:
    """Return one row for `infer`."""
    row = {"name": "features", "shape": [1, columns], "datatype": "FP32", "data": [1.0] * columns}
    return {"inputs": [row]}


@dataclass(frozen=True)
class BadQuestion:
    """A request to serving, its status, and what its error must name."""

    row: str
    status: int
    names: str
    path: str = PREDICT
    ask: Any = field(default_factory=dict)
    body: bytes | None = None


BAD_QUESTIONS = (
    BadQuestion("unknown-model", 404, "known: fraud, untrained", "/v1/models/nobody/predict"),
    BadQuestion("question-not-json", 400, "not JSON", body=b"{no json"),
    BadQuestion("question-empty", 400, "not JSON", body=b""),
    BadQuestion("question-not-a-number", 400, "not JSON", body=b'{"fields": {"amount": NaN}}'),
    BadQuestion("question-too-large", 413, "1048576", body=b" " * (2 << 20)),
    BadQuestion("unknown-member", 422, "`card`", ask={"card": "c1"}),
    BadQuestion("entity-missing", 422, "entities.card", ask={"fields": FIELDS}),
    BadQuestion("entity-of-no-group", 422, "entities.shop", ask={"entities": {"shop": "s"}, "fields": FIELDS}),
    BadQuestion("question-field-missing", 422, "fields.online", ask={"entities": CARD, "fields": {"amount": 1.0}}),
    BadQuestion("question-field-unknown", 422, "fields.z", ask={"entities": CARD, "fields": {**FIELDS, "z": 1}}),
    BadQuestion(
        "question-wrong-type", 422, "fields.amount", ask={"entities": CARD, "fields": {**FIELDS, "amount": "x"}}
    ),
    BadQuestion(
        "question-out-of-range", 422, "fields.amount", ask={"entities": CARD, "fields": {**FIELDS, "amount": -1}}
    ),
    BadQuestion("question-bad-time", 422, "at", ask={"entities": CARD, "fields": FIELDS, "at": "yesterday"}),
    BadQuestion("tensor-shape", 400, "inputs.features", INFER, tensor(columns=COLUMNS - 1)),
    BadQuestion("unknown-version", 404, "not 99", "/v2/models/fraud/versions/99/infer", tensor()),
)


# --- questions -------------------------------------------------------------------------------------------------------
@proves(*(question.row for question in BAD_QUESTIONS))
@pytest.mark.parametrize("question", BAD_QUESTIONS, ids=lambda question: question.row)
def test_a_bad_question_is_answered_with_what_to_mend(live: Live, champion: str, question: BadQuestion) -> None:
    """The status and the place that the page says."""
    body = msgspec.json.encode(question.ask) if question.body is None else question.body
    answer = live.post("serving", question.path, body)

    assert answer.status_code == question.status
    assert question.names in answer.json()["error"]
    assert rows()[question.row][1].startswith(str(question.status))


@proves("no-champion")
@pytest.mark.parametrize(
    ("path", "ask"),
    [("/v1/models/untrained/predict", {"entities": CARD, "fields": FIELDS}), ("/v2/models/untrained/infer", tensor())],
    ids=["predict", "infer"],
)
def test_before_a_champion_the_answer_is_503(live: Live, path: str, ask: object) -> None:
    """Come again later: `no champion yet`, while the process is ready."""
    answer = live.post("serving", path, msgspec.json.encode(ask))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "no champion yet; see millrace status"}
    assert live.get("serving", "/ready")["ready"]


@proves("unknown-entity")
def test_an_unknown_entity_is_answered_and_flagged(live: Live, champion: str) -> None:
    """It has no history: counts are 0, other features null, and the answer says `missing`."""
    ask = msgspec.json.encode({"entities": {"card": "never-seen"}, "fields": FIELDS})
    answer = live.post("serving", PREDICT, ask)

    assert answer.status_code == 200
    content = answer.json()
    assert content["flags"] == ["missing"]
    assert [group["status"] for group in content["groups"].values()] == ["missing"]
    assert (content["features"]["CardSpend.n_1h"], content["features"]["CardSpend.mean_1h"]) == (0, None)
    assert 0.0 <= content["score"] <= 1.0


# --- models ----------------------------------------------------------------------------------------------------------
@proves("unreadable-import")
def test_an_unreadable_import_is_refused(live: Live) -> None:
    """Bytes that are no ONNX never become a candidate."""
    before = len(live.get("trainer", "/v1/runs")["runs"])
    headers = {"Content-Type": "application/octet-stream"}
    answer = live.post("trainer", "/v1/models/fraud/import", b"no model", headers)

    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (422, "onnx-unreadable")
    assert len(live.get("trainer", "/v1/runs")["runs"]) == before


@proves("damaged-candidate")
def test_a_damaged_candidate_is_rejected_and_the_champion_stays(live: Live, champion: str) -> None:
    """Files that are not those of the stated digest fail the gate `integrity`; the same version goes on answering."""
    before = live.get("gatekeeper", "/v1/models/fraud")
    asyncio.run(offer_damaged(live))

    def decided() -> Any:
        steps = live.get("gatekeeper", "/v1/models/fraud")["history"]
        return next((step for step in steps if step["candidate_id"] == "damaged"), None)

    step = until(decided, "a decision about the damaged candidate")
    assert (step["to_state"], step["reason"]["code"]) == ("rejected", "gate-integrity")
    assert "artifact-corrupt" in step["reason"]["text"]
    after = live.get("gatekeeper", "/v1/models/fraud")
    assert after["version"] == before["version"]


async def offer_damaged(live: Live) -> None:
    """Publish the first ready candidate again: under another digest, its files elsewhere and one of them changed."""
    bootstrap = live.endpoints.kafka_bootstrap_servers

    def is_ready(record: Record) -> bool:
        return b'"ready"' in (record.value or b"") and b'"fraud"' in (record.value or b"")

    async with tail(bootstrap, "model-candidates") as log:
        candidate = decode((await log.until(is_ready))[0])
    assert isinstance(candidate, Candidate)
    assert candidate.artifact is not None
    folder = live.home.folder / "damaged"
    shutil.copytree(folder_of(live, candidate.artifact.digest), folder)
    damage(folder / "model.onnx")
    artifact = msgspec.structs.replace(candidate.artifact, uri=folder.as_uri(), digest="sha256:" + 64 * "0")
    changed = msgspec.structs.replace(candidate, run_id="damaged", candidate_id="damaged", artifact=artifact)
    outgoing = encode(changed)
    await sent(bootstrap, outgoing.topic, [Raw(outgoing.value, outgoing.key, headers=outgoing.headers)])


@proves("damaged-version")
def test_a_version_that_cannot_be_loaded_leaves_the_one_before_answering(live: Live, versions: list[str]) -> None:
    """Brought back with damaged files: serving says so and goes on with the other; mended and asked again, it loads."""
    roll_back(live, to=versions[1])
    roll_back(live, to=versions[2])  # now the first is not in memory
    digests = {step["version"]: step["digest"] for step in live.get("gatekeeper", "/v1/models/fraud")["history"]}

    with damaged(folder_of(live, digests[versions[0]]) / "model.onnx"):
        roll_back(live, to=versions[0], answers=versions[2])
        slot = live.get("serving", "/v1/models/fraud")
        assert slot["failed_version"] == versions[0]
        assert "artifact-corrupt" in slot["failure"]
        assert live.counts("serving")["models_not_loaded"] == 1
        roll_back(live, to=versions[2])
    roll_back(live, to=versions[0])
    assert live.get("serving", "/v1/models/fraud")["failure"] is None


@proves("unknown-rollback", "unknown-train")
def test_what_is_asked_for_an_unknown_model_or_version_is_refused(live: Live, champion: str) -> None:
    """The operator is told what there is."""
    version = live.post("gatekeeper", "/v1/models/fraud/rollback", b'{"version": "99"}')
    model = live.post("gatekeeper", "/v1/models/nobody/rollback", b"{}")
    body = live.post("gatekeeper", "/v1/models/fraud/rollback", b"{no json")
    train = live.post("monitor", "/v1/models/nobody/train", b"")

    assert (version.status_code, model.status_code, body.status_code, train.status_code) == (409, 404, 422, 404)
    assert "served: 1" in version.json()["error"]
    assert "known: fraud, untrained" in model.json()["error"]
    assert "nobody" in train.json()["error"]


def roll_back(live: Live, *, to: str, answers: str | None = None) -> None:
    """Let a version be in force, and wait until it answers, or `answers` in its place."""
    answer = live.post("gatekeeper", "/v1/models/fraud/rollback", msgspec.json.encode({"version": to}))
    told = f"no other version {to} has served"
    assert answer.status_code == 200 or told in answer.json()["error"], answer.text
    expected = (answers or to, to if answers else None)

    def settled() -> bool:
        slot = live.get("serving", "/v1/models/fraud")
        return (slot["version"], slot["failed_version"]) == expected

    until(settled, f"version {expected[0]} in memory")
    body = msgspec.json.encode({"entities": CARD, "fields": FIELDS})
    assert live.post("serving", PREDICT, body).json()["version"] == expected[0]


def folder_of(live: Live, digest: str) -> Path:
    """Return where an artifact lies."""
    name = digest.removeprefix("sha256:")
    return live.home.folder / "artifacts" / "sha256" / name[:2] / name


def damage(file: Path) -> bytes:
    """Change a byte in the middle of a file and return what it was."""
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.chmod(0o644)
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    return whole


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """Have a file damaged while the body runs."""
    whole = damage(file)
    try:
        yield
    finally:
        file.write_bytes(whole)
