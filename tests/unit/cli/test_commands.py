"""The commands that ask a service: what they send, what they print, how they fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.cli.services import answering, endpoints_at

from millrace_cli.__main__ import main
from millrace_cli.ports import next_claimed
from millrace_common.errors import EXIT_CONFIGURATION

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command line on the home `tmp_path`; return its exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--home", str(tmp_path)])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_predict_sends_entities_as_text_and_fields_by_their_json_type(run: Run, tmp_path: Path) -> None:
    """An id keeps its leading zeros; a field is a number, a truth value or text as its JSON says."""
    answer = {"model": "fraud", "version": "3", "score": 0.25, "features": {"n": 1}, "flags": ["late"]}
    words = ["predict", "fraud", "--entity", "card=0071", "--field", "amount=12.5", "--field", "country=NO"]
    with answering(tmp_path, {"POST /v1/models/fraud/predict": (200, answer)}) as services:
        code, out, _ = run(*words, "--field", "online=true", "--at", "2024-05-01T00:00:00Z")
    assert code == 0
    assert "0.25" in out
    assert "late" in out
    assert services.bodies == [
        {
            "entities": {"card": "0071"},
            "fields": {"amount": 12.5, "country": "NO", "online": True},
            "at": "2024-05-01T00:00:00Z",
        }
    ]


def test_a_word_that_is_no_pair_is_a_usage_error(run: Run) -> None:
    """--entity and --field take NAME=VALUE; nothing is sent otherwise."""
    code, _, err = run("predict", "fraud", "--entity", "card")
    assert code == 2
    assert "NAME=VALUE" in err


def test_a_refusal_is_told_in_the_services_words(run: Run, tmp_path: Path) -> None:
    """A 4xx ends with exit 1 and the text that the service put under `error`."""
    refusal = (422, {"error": "fields.amount: must be at least 0"})
    with answering(tmp_path, {"POST /v1/models/fraud/predict": refusal}):
        code, out, err = run("predict", "fraud", "--field", "amount=-1")
    assert (code, out) == (1, "")
    assert "serving 422: fields.amount: must be at least 0" in err
    assert "Traceback" not in err


def test_an_error_that_is_no_json_is_still_told(run: Run, tmp_path: Path) -> None:
    """A proxy's page in place of our JSON is shown as it is."""
    with answering(tmp_path, {"GET /v1/models": (502, "bad gateway")}):
        code, _, err = run("models", "list")
    assert code == 1
    assert "gatekeeper 502: bad gateway" in err


def test_a_service_that_does_not_answer_is_named_with_its_address(run: Run, tmp_path: Path) -> None:
    """No answer ends with exit 1, the service, its URL and what to look at."""
    with next_claimed(25_000, taken=frozenset()) as port:
        endpoints_at(tmp_path, port)
        code, _, err = run("models", "list")
    assert code == 1
    assert f"gatekeeper does not answer at http://127.0.0.1:{port}" in err
    assert "millrace status" in err


@pytest.mark.parametrize("words", [("models", "list"), ("alerts", "list"), ("status",), ("train", "fraud")])
def test_a_home_that_was_never_up_is_said_to_be_so(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Every command that needs the platform names the folder it looked in and how to start it."""
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert f"nothing was ever up on {tmp_path}" in err
    assert "millrace up" in err


def test_models_are_listed_for_people_and_for_programs(run: Run, tmp_path: Path) -> None:
    """The table shows what the JSON holds; the JSON is the gatekeeper's own."""
    model = {
        "model": "fraud",
        "version": "7",
        "digest": "sha256:" + "ab" * 32,
        "since_us": 0,
        "epoch": 9,
        "state": "champion",
    }
    with answering(tmp_path, {"GET /v1/models": (200, {"models": [model]})}):
        _, table, _ = run("models", "list")
        _, text, _ = run("models", "list", "--json")
    assert "1970-01-01 00:00:00" in table
    assert "sha256:abababababab" in table
    assert json.loads(text) == {"models": [model]}


def test_a_models_history_shows_each_step_with_its_gates(run: Run, tmp_path: Path) -> None:
    """`models show` tells from, to, who, why, and every verdict."""
    step = {
        "epoch": 1,
        "at_us": 0,
        "version": "1",
        "from_state": "candidate",
        "to_state": "champion",
        "actor": {"name": "gatekeeper", "role": "service"},
        "reason": {"code": "first", "text": "first candidate"},
        "verdicts": [{"gate": "parity", "verdict": "pass"}, {"gate": "floor", "verdict": "inconclusive"}],
    }
    model = {"model": "fraud", "version": "1", "state": "champion", "digest": "sha256:1", "history": [step]}
    with answering(tmp_path, {"GET /v1/models/fraud": (200, model)}):
        code, out, _ = run("models", "show", "fraud")
    assert code == 0
    assert all(part in out for part in ("first candidate", "parity:pass", "floor:inconclusive", "gatekeeper"))


def test_a_rollback_sends_what_was_asked_and_no_more(run: Run, tmp_path: Path) -> None:
    """Without --version the gatekeeper chooses: the field is absent, not null."""
    path = "/v1/models/fraud/rollback"
    with answering(tmp_path, {f"POST {path}": (200, {"model": "fraud", "version": "2"})}) as services:
        _, out, _ = run("models", "rollback", "fraud", "--reason", "too many alarms")
        run("models", "rollback", "fraud", "--version", "1")
    assert "version 2" in out
    assert services.bodies == [{"reason": "too many alarms"}, {"version": "1"}]


def test_an_import_sends_the_files_bytes(run: Run, tmp_path: Path) -> None:
    """`models import` works from another machine than the trainer's: the file itself is sent."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x00onnx")
    with answering(
        tmp_path, {"POST /v1/models/fraud/import": (202, {"run_id": "r1", "status": "started"})}
    ) as services:
        code, out, _ = run("models", "import", "fraud", str(file))
    assert code == 0
    assert "run r1" in out
    assert services.asked == [("POST /v1/models/fraud/import", b"\x00onnx")]


def test_training_is_asked_of_the_monitor_with_a_reason(run: Run, tmp_path: Path) -> None:
    """`train` states why, for the record."""
    with answering(tmp_path, {"POST /v1/models/fraud/train": (202, {"request_id": "q1"})}) as services:
        code, _, _ = run("train", "fraud", "--reason", "new merchant")
    assert code == 0
    assert services.bodies == [{"reason": "new merchant"}]


def alert(**parts: Any) -> dict[str, Any]:
    """Return an alert."""
    common = {"model": "fraud", "kind": "drift", "state": "firing", "severity": "page", "at_us": 0}
    return {**common, "evidence": {"detector": "psi", "value": 0.51234, "limit": 0.2}, **parts}


def test_alerts_are_listed_after_an_offset(run: Run, tmp_path: Path) -> None:
    """`--after` goes to the monitor; a row names what the alert is about and the number that raised it."""
    alerts = [alert(subject={"type": "feature", "name": "amount"}), alert(kind="retrain", retrain={"reason": "drift"})]
    with answering(tmp_path, {"GET /v1/alerts?after=41": (200, alerts)}):
        code, out, _ = run("alerts", "list", "--after", "41")
    assert code == 0
    assert "feature amount" in out
    assert "psi 0.5123 (limit 0.2)" in out
    assert "retrain" in out


def test_runs_are_listed_and_cancelled(run: Run, tmp_path: Path) -> None:
    """`runs` shows how each ended and cancels by id."""
    failed = {"run_id": "r1", "model": "fraud", "status": "failed", "reason": {"code": "x", "text": "no labels"}}
    answers = {"GET /v1/runs": (200, {"runs": [failed]}), "POST /v1/runs/r1/cancel": (200, {"run_id": "r1"})}
    with answering(tmp_path, answers):
        _, out, _ = run("runs", "list")
        code, told, _ = run("runs", "cancel", "r1")
    assert "no labels" in out
    assert (code, told) == (0, "run r1 is cancelled\n")


def test_a_log_that_is_not_there_names_those_that_are(run: Run, tmp_path: Path) -> None:
    """`logs` of an unknown process lists the known ones; of a known one it prints the last lines."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "serving.log").write_text("one\ntwo\nthree\n")
    code, _, err = run("logs", "serv")
    assert code == 1
    assert "there are: serving" in err
    assert run("logs", "serving", "--lines", "2") == (0, "two\nthree\n", "")


def test_up_without_a_pipeline_is_a_configuration_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started where no pipeline is named."""
    monkeypatch.delenv("MILLRACE_PIPELINES", raising=False)
    code, _, err = run("up")
    assert code == EXIT_CONFIGURATION
    assert "no pipeline" in err


def test_up_tells_every_mistake_of_a_pipeline_before_anything_starts(run: Run, tmp_path: Path) -> None:
    """A pipeline file that does not load is refused with its place."""
    broken = tmp_path / "broken.py"
    broken.write_text("import millrace\n\nPIPELINE = millrace.nothing_of_the_kind\n")
    code, _, err = run("up", f"{broken}:PIPELINE")
    assert code == EXIT_CONFIGURATION
    assert "broken.py:3" in err
    assert not (tmp_path / "kafka").exists()


def test_down_where_nothing_is_up_says_so(run: Run, tmp_path: Path) -> None:
    """`down` twice is no error."""
    assert run("down") == (0, f"nothing was up on {tmp_path}\n", "")
