"""`millrace init` and `millrace check`: from a team's own file to a pipeline that loads and gives events."""

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from mypy import api
from typer.testing import CliRunner, Result

from millrace.loading import load
from millrace_cli.commands.check import check
from millrace_cli.commands.init import init
from millrace_cli.starter import choices, text
from millrace_common.errors import Misconfigured
from millrace_engine.events import compile_events
from millrace_engine.files import FileEvent, events_of
from millrace_ingest.adapters.files import rows

LOANS = """\
when,Customer-ID,amount,2nd rate,class,approved,remark,"note""s\\"
2024-05-01 10:00:00,a,10.5,1,x,YES,,fine
2024-05-01 10:00:00,b,11,,y,NO,,
2024-05-01 11:30:00,a,12.5,3,x,NO,,late
2024-05-02 09:00:00,c,13,4,z,YES,,
"""


def run(command: Callable[..., None], *words: object) -> Result:
    """Run one command as the shell would; an error of ours is raised."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, Misconfigured):
        raise result.exception
    return result


def drafted(folder: Path, file: Path, *words: str) -> Path:
    """Run `init` on a file and return the pipeline file."""
    output = folder / "pipeline.py"
    assert run(init, "--from", file, "-o", output, *words).exit_code == 0
    return output


def events(pipeline: Path, file: Path) -> list[FileEvent]:
    """Return the events of a file by a pipeline's source; each keeps its contract."""
    deployment = load([str(pipeline)])
    (spec,) = deployment.pipelines.values()
    assert spec.source is not None
    checks = compile_events(deployment)
    found = list(events_of(spec.source, deployment, rows(file)))
    for event in found:
        checks.check(json.dumps(event.value).encode(), ce_type=event.type)
    return found


def test_a_first_pipeline_of_a_csv_loads_type_checks_and_gives_events(tmp_path: Path) -> None:
    """What init writes passes check and `mypy --strict`, and each row of the file becomes a row and its outcome."""
    file = tmp_path / "loan requests.csv"
    file.write_text(LOANS)
    output = drafted(
        tmp_path, file, "--label", "approved", "--time", "when", "--entity", "Customer-ID", "--delay", "2d"
    )
    out, err, failed = api.run(["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(output)])
    assert not failed, out + err
    result = run(check, output)
    assert result.exit_code == 0, result.output
    assert "LoanRequests" in output.read_text()
    found = events(output, file)
    assert [event.type for event in found] == ["loan_requests"] * 4 + ["loan_requests_outcome"] * 4
    assert found[0].key == "a"
    assert found[0].value == {
        "row": 0,
        "customer_id": "a",
        "amount": 10.5,
        "c_2nd_rate": 1.0,
        "class_": "x",
        "note_s": "fine",
        "ts": "2024-05-01T10:00:00Z",
    }
    assert "c_2nd_rate" not in found[1].value
    assert [event.value["truth"] for event in found[4:]] == [True, False, False, True]
    assert found[4].value["ts"] == "2024-05-03T10:00:00Z"


def test_a_file_without_time_and_entity_is_one_stream_a_minute_apart(tmp_path: Path) -> None:
    """Without a time and an entity rows are a minute apart in one stream; the label is found by its name."""
    file = tmp_path / "2024.csv"
    file.write_text("price,flag,class\n" + "0.5,1,0\n0.7,0,1\n" * 3)
    found = events(drafted(tmp_path, file), file)
    assert [event.value["ts"] for event in found[:3]] == [
        *("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z")
    ]
    assert {event.key for event in found if event.type == "row2024"} == {"all"}


@pytest.mark.parametrize(("first", "unit"), [(1_700_000_000, "seconds"), (1_700_000_000_000, "milliseconds")])
def test_times_in_numbers_are_given_their_unit(tmp_path: Path, first: int, unit: str) -> None:
    """A column of seconds or milliseconds since 1970 is told by its size."""
    file = tmp_path / "clicks.jsonl"
    lines = [{"ts": first + n, "shown": n, "clicked": n % 2 == 0} for n in range(4)]
    file.write_text("\n".join(map(json.dumps, lines)))
    output = drafted(tmp_path, file)
    assert f'column("ts") * {unit}' in output.read_text()
    assert events(output, file)[0].value["ts"] == "2023-11-14T22:13:20Z"


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """A Parquet file gives its own types; what is no scalar is left out and said."""
    file = tmp_path / "model.parquet"
    times = pa.array([0, 1_000_000], pa.timestamp("us", "UTC"))
    table = pa.table({"at": times, "n": [1, None], "ok": [True, False], "tags": [["a"], []], "won": ["n", "y"]})
    pq.write_table(table.drop_columns(["tags"]), file)
    output = drafted(tmp_path, file, "--label", "won")
    assert 'truth=column("won") == "y"' in output.read_text()
    assert events(output, file)[0].value["ts"] == "1970-01-01T00:00:00Z"
    other = tmp_path / "tagged.parquet"
    pq.write_table(table, other)
    output.unlink()
    assert "# left out: tags" in drafted(tmp_path, other, "--label", "won").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--label", "amount"], "a label has two values"),
        (["--label", "nothing"], "the file has when, Customer-ID"),
        (["--label", "approved", "--entity", "amount"], "an entity is text or an integer"),
        (["--label", "approved", "--time", "Customer-ID"], "a time is text such as"),
        (["--label", "approved", "--delay", "soon"], "`soon` is no duration"),
        ([], "name the column that is to be predicted"),
    ],
)
def test_what_cannot_be_chosen_is_said(tmp_path: Path, words: list[str], what: str) -> None:
    """A column that cannot be what it is asked to be is refused with what can; nothing is written."""
    file = tmp_path / "loans.csv"
    file.write_text(LOANS.replace("class", "kind").replace("fine", "").replace("late", "x"))
    with pytest.raises(Misconfigured, match=what):
        drafted(tmp_path, file, *words)
    assert not (tmp_path / "pipeline.py").exists()


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """init writes over nothing."""
    (tmp_path / "pipeline.py").write_text("mine")
    with pytest.raises(Misconfigured, match="is there already"):
        drafted(tmp_path, tmp_path / "loans.csv")
    assert (tmp_path / "pipeline.py").read_text() == "mine"


@pytest.mark.parametrize(("name", "text"), [("a.csv", ""), ("a.csv", "x\n"), ("a.txt", "x"), ("absent.csv", None)])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, name: str, text: str | None) -> None:
    """An empty, unknown or absent file is refused, naming it."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(Misconfigured, match=name):
        drafted(tmp_path, tmp_path / name)


def test_check_shows_every_mistake_and_exits_1(tmp_path: Path) -> None:
    """check tells all mistakes with their lines, as text or JSON, and exits 1."""
    file = tmp_path / "wrong.py"
    file.write_text("from millrace import Pipeline\nPIPELINE = 5\n")
    result = run(check, file)
    assert result.exit_code == 1
    assert f"{file}:1: `PIPELINE` is no pipeline of this file" in result.output
    result = run(check, file, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["mistakes"][0]["line"] == 1


@pytest.mark.parametrize("pipeline", ["pipelines.fraud", "pipelines.electricity:PIPELINE"])
def test_check_shows_the_shipped_pipelines(pipeline: str) -> None:
    """check shows each shipped pipeline, its services, columns and topics; --json gives the same as data."""
    result = run(check, pipeline)
    assert result.exit_code == 0
    for word in ("raw-data", "gatekeeper", "lightgbm", "is right; deployment"):
        assert word in result.output
    shown = json.loads(run(check, pipeline, "--json").stdout)
    assert shown["hash"] == load([pipeline]).hash


@pytest.mark.parametrize("module", [choices, text])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    """Every example in a docstring gives what it says."""
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
