"""Loading: from a file's name to a deployment, the same each time, opening nothing on the way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.files import EVENTS, GROUP, HEAD, LABEL, PIPELINE, WHOLE, written

from millrace.loading import PipelineMistakes, load
from millrace.spec import Const, FeatureRef, FieldRef, Op


@pytest.fixture(autouse=True)
def _import_path() -> Iterator[None]:
    """Put the import path back after each test."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def mistakes(*specs: str) -> list[tuple[int, str]]:
    """Return the lines and texts of what is wrong with a deployment."""
    with pytest.raises(PipelineMistakes) as caught:
        load(specs)
    return [(mistake.line, mistake.what) for mistake in caught.value.mistakes]


def test_a_whole_file_becomes_a_deployment(tmp_path: Path) -> None:
    """Events, groups, label, view and policies come out as they were declared, with their defaults."""
    deployment = load([written(tmp_path, WHOLE)])
    transaction = deployment.events["transaction"]
    assert [field.name for field in transaction.fields] == [
        "txn_id",
        "card",
        "merchant",
        "amount",
        "items",
        "online",
        "ts",
    ]
    assert (transaction.id_field, transaction.entity_fields, transaction.time_field) == ("txn_id", ("card",), "ts")
    assert (transaction.lateness_us, transaction.dedupe_us) == (600_000_000, 86_400_000_000)
    assert deployment.events["chargeback"].refers_to == "transaction"
    group = deployment.groups["CardSpend"]
    assert [feature.name for feature in group.features] == [
        *("n_1m", "n_1h", "n_24h", "mean_1m", "mean_1h", "mean_24h", "big_1h"),
        *("last3_1", "last3_2", "last3_3"),
    ]
    assert [(feature.n, feature.window_us) for feature in group.features[-3:]] == [(1, None), (2, None), (3, None)]
    view = deployment.models["fraud"].view
    assert dict(view.groups) == {"CardSpend": group.key}
    ratio = view.columns[-1]
    amount, mean = FieldRef("transaction", "amount", "float"), FeatureRef("CardSpend", "mean_24h")
    assert (ratio.name, ratio.dtype) == ("amount_ratio", "float")
    assert ratio.expr == Op("div", (amount, Op("fill", (mean, Const(1.0)))))
    assert deployment.labels["fraud"].value == Const(True)
    assert [gate.name for gate in deployment.pipelines["fraud"].gates] == [
        *("integrity", "lineage", "schema", "parity", "floor", "non_inferior")
    ]
    assert deployment.repartitioned == ()


def test_the_example_of_the_design_is_refused_only_for_what_is_not_built(tmp_path: Path) -> None:
    """What does not exist yet is told with its line and what to use instead; the rest of the example loads."""
    group = GROUP.replace(
        "    last3",
        '    shops = agg.distinct(Transaction.merchant).over("24h")\n'
        '    decay = agg.decayed_sum(Transaction.amount, half_life="6h")\n'
        "    last3",
    )
    pipeline = PIPELINE.replace(
        "label=Fraud)",
        'label=Fraud), rollout=Canary(5, 25, 50, 100), drift=Drift(budget="1 false page per 2000 windows")',
    )
    text = HEAD + EVENTS + group + LABEL + pipeline
    line = 1 + text[: text.index("Canary(")].count("\n")
    assert mistakes(written(tmp_path, text)) == [(line, "Canary is not available in this version")]
    group_spec = load([written(tmp_path, text.replace("Canary(5, 25, 50, 100)", "Direct()"))]).groups["CardSpend"]
    assert {"shops_24h", "decay"} <= {feature.name for feature in group_spec.features}


def test_what_was_added_later_changes_no_hash_of_a_definition_without_it(tmp_path: Path) -> None:
    """A group that uses nothing new keeps the hash, and so the keys, that it had before the new was there."""
    deployment = load([written(tmp_path, WHOLE)])
    assert deployment.groups["CardSpend"].key == "CardSpend@43e1f7a7"


def test_loading_again_gives_the_same_hashes_and_a_change_gives_others(tmp_path: Path) -> None:
    """Hashes are of the content: equal in a second load and another process, different for another definition."""
    spec = written(tmp_path, WHOLE)
    first, again = load([spec]), load([spec])
    assert first == again
    program = f"from millrace.loading import load; print(load([{spec!r}]).hash)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == first.hash
    written(tmp_path, WHOLE.replace('over("1h")', 'over("2h")'))
    changed = load([spec])
    assert changed.hash != first.hash
    assert changed.groups["CardSpend"].key != first.groups["CardSpend"].key
    assert changed.models["fraud"].view.hash != first.models["fraud"].view.hash
    assert changed.pipelines["fraud"].policy_hash == first.pipelines["fraud"].policy_hash


def test_a_comment_or_another_name_of_the_file_changes_no_hash(tmp_path: Path) -> None:
    """Where and how a definition is written is no part of it."""
    first = load([written(tmp_path, WHOLE)])
    assert load([written(tmp_path, "# A comment.\n\n" + WHOLE, "renamed.py")]).hash == first.hash


def test_two_pipelines_may_share_an_event_class(tmp_path: Path) -> None:
    """An event type declared twice with the same contract is one; the deployment holds both pipelines."""
    other = WHOLE.replace('Pipeline("fraud"', 'Pipeline("second"')
    deployment = load([written(tmp_path, WHOLE), written(tmp_path, other, "second.py")])
    assert list(deployment.models) == ["fraud", "second"]
    assert list(deployment.events) == ["chargeback", "transaction"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("field(ge=0)", "field(ge=1)", "the event type transaction is declared otherwise at "),
        ('over("1h")', 'over("2h")', "the group CardSpend is declared otherwise at "),
        ("default=False", "default=True", "the label fraud is declared otherwise at "),
        ("", "", "two pipelines are named fraud"),
        ("", "", "two models are named fraud"),
    ],
)
def test_two_different_parts_of_one_name_are_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    """One name means one thing in a deployment: otherwise the second is refused, naming where the first stands."""
    found = mistakes(written(tmp_path, WHOLE), written(tmp_path, WHOLE.replace(old, new), "second.py"))
    assert any(text.startswith(what) and "fraud.py:" in text for _, text in found)


def test_a_module_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module:NAME` is imported with the working directory first on the path; PIPELINE is the name if none is given."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, WHOLE, "cards.py")
    assert load(["cards"]) == load(["cards:PIPELINE"]) == load(["cards.py"])


def test_a_file_imports_its_neighbours(tmp_path: Path) -> None:
    """The folder of a file is first on the path, so that pipelines can share a module of events."""
    written(tmp_path, HEAD + EVENTS, "shared_events.py")
    text = HEAD + "from shared_events import Chargeback, Transaction\n" + GROUP + LABEL + PIPELINE
    assert load([written(tmp_path, text)]) == load([written(tmp_path, WHOLE)])


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = (\n", 1, "'(' was never closed"),
        (HEAD + "y = 1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        (HEAD + "import nothing_of_that_name\n", 3, "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (HEAD + EVENTS + "if Transaction.amount > 5: pass\n", 16, "TypeError: an expression has no truth value"),
        (HEAD + "agg.median(3)\n", 3, "AttributeError: module 'millrace.agg' has no attribute 'median'"),
        (HEAD, 1, "`PIPELINE` is no pipeline of this file"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    """Whatever a file raises on import is one mistake at the file's own line."""
    ((found_line, found),) = mistakes(written(tmp_path, text))
    assert (found_line, found[: len(what)]) == (line, what)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A file, a module or a name that does not exist is a mistake that says what to give instead; so is none at all."""
    assert mistakes(str(tmp_path / "absent.py"))[0][1].startswith("FileNotFoundError")
    assert mistakes("no_such_module:PIPELINE")[0][1].startswith("ModuleNotFoundError")
    assert mistakes()[0][1] == "no pipeline is named"
    with pytest.raises(PipelineMistakes, match="name one of PIPELINE"):
        load([written(tmp_path, WHOLE).replace(":PIPELINE", ":MODEL")])


WATCH = """\
import sys
from millrace.loading import load
opened = []
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(("socket.", "subprocess.", "os.mkdir", "os.putenv")):
        opened.append((event, arguments))
sys.addaudithook(watch)
load([sys.argv[1]])
print(opened)
"""


def test_loading_opens_nothing(tmp_path: Path) -> None:
    """Loading writes no file, opens no socket and starts no process; it leaves nothing beside the pipeline file."""
    spec = written(tmp_path, WHOLE)
    run = subprocess.run([sys.executable, "-B", "-c", WATCH, spec], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert [path.name for path in tmp_path.iterdir()] == ["fraud.py"]
