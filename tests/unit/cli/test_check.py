"""`millrace check`: what a pipeline file comes to, and a team's own aggregate that is no machine code."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.files import EVENTS, GROUP, HEAD, LABEL, PIPELINE, WHOLE, written

from millrace_cli.__main__ import main

OWN = """\
class Total(CustomAggregate):
    cells = 1

    @staticmethod
    def prepare(cells: Cells) -> None:
        cells[0] = 0.0

    @staticmethod
    def update(cells: Cells, value: float) -> None:
        cells[0] += float(value)

    @staticmethod
    def merge(cells: Cells, other: Cells) -> None:
        cells[0] += other[0]

    @staticmethod
    def finalize(cells: Cells) -> float:
        return cells[0]

    @staticmethod
    def oracle(values) -> float:
        return float(sum(values))

"""
WITH_OWN = (
    HEAD
    + EVENTS
    + OWN
    + GROUP.replace("    n = ", '    own = agg.custom(Total, Transaction.amount).over("1h")\n    n = ')
)
WITH_OWN += LABEL + PIPELINE


@pytest.fixture(autouse=True)
def _import_path() -> Iterator[None]:
    """Put the import path back after each test, and forget the files of the test."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in ("fraud",):
        sys.modules.pop(name, None)


def checked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run `millrace check`; return its exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_each_feature_is_shown_with_window_tile_and_edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How long a tile is, up to how many events a window is exact, and what is lost beyond stands in one row."""
    code, out, _ = checked(capsys, written(tmp_path, WHOLE))
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("mean_24h"))
    assert " ".join(row.split()) == "mean_24h mean(amount) 1d 2h up to 64 events in the window, then edge <= 2h"


def test_a_verb_that_is_no_machine_code_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A right aggregate of a team passes; one that only Python can do is told with the verb's line."""
    assert checked(capsys, written(tmp_path, WITH_OWN))[0] == 0
    text = WITH_OWN.replace("float(value)", "eval('value')")
    code, out, _ = checked(capsys, written(tmp_path, text), "--json")
    assert code == 1
    (mistake,) = json.loads(out)["mistakes"]
    assert mistake["what"].startswith("Total.update is no machine code: ")
    assert "eval(" in text.splitlines()[mistake["line"] - 1]
