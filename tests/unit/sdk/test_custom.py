"""A team's own aggregates: found by their name, part of the definition, and tried against their oracle at load."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.files import EVENTS, HEAD, LABEL, PIPELINE, written

from millrace.custom import resolve
from millrace.loading import PipelineMistakes, load

SWING = '''\
class Swing(CustomAggregate):
    """How far the values lie apart."""

    cells = 2

    @staticmethod
    def prepare(cells: Cells) -> None:
        cells[0], cells[1] = float("inf"), float("-inf")

    @staticmethod
    def update(cells: Cells, value: float) -> None:
        cells[0] = min(cells[0], value)
        cells[1] = max(cells[1], value)

    @staticmethod
    def merge(cells: Cells, other: Cells) -> None:
        cells[0] = min(cells[0], other[0])
        cells[1] = max(cells[1], other[1])

    @staticmethod
    def finalize(cells: Cells) -> float:
        return cells[1] - cells[0] if cells[0] <= cells[1] else float("nan")

    @staticmethod
    def oracle(values) -> float:
        return max(values) - min(values) if values else float("nan")

'''
GROUP = """\
class CardSpend(FeatureGroup, on=Transaction, by="card"):
    swing = agg.custom(Swing, Transaction.amount).over("24h", last=5)

"""
WHOLE = (
    HEAD + EVENTS + SWING + GROUP + LABEL + PIPELINE.replace("CardSpend, Transaction.amount, amount_ratio", "CardSpend")
)


@pytest.fixture(autouse=True)
def _import_path() -> Iterator[None]:
    """Put the import path back after each test, and forget the files of the test."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in ("fraud", "shared_swing"):
        sys.modules.pop(name, None)


def mistakes(folder: Path, text: str) -> list[str]:
    """Return what is wrong with a file."""
    with pytest.raises(PipelineMistakes) as caught:
        load([written(folder, text)])
    line = 1 + text[: text.index("    swing = ")].count("\n")
    assert all(mistake.line == line and mistake.mend for mistake in caught.value.mistakes)
    return [mistake.what for mistake in caught.value.mistakes]


def test_a_class_is_declared_by_its_import_path(tmp_path: Path) -> None:
    """The declaration holds `module:Class`, by which the engine finds the class; each window is a feature."""
    group = load([written(tmp_path, WHOLE)]).groups["CardSpend"]
    assert [(one.name, one.op, one.custom) for one in group.features] == [
        ("swing_24h", "custom", "fraud:Swing"),
        ("swing_last5", "custom", "fraud:Swing"),
    ]
    assert resolve("fraud:Swing").oracle([1.0, 4.0]) == 3.0


def test_a_class_may_stand_in_a_module_beside_the_file(tmp_path: Path) -> None:
    """A module that the pipeline file imports is found under its own name."""
    (tmp_path / "shared_swing.py").write_text("from millrace import *\n\n" + SWING)
    text = WHOLE.replace(SWING, "from shared_swing import Swing\n")
    assert load([written(tmp_path, text)]).groups["CardSpend"].features[0].custom == "shared_swing:Swing"


def test_the_text_of_a_class_is_part_of_the_definition(tmp_path: Path) -> None:
    """Other verbs make another hash, and so other keys; comments, docstrings and layout do not."""
    first = load([written(tmp_path, WHOLE)]).groups["CardSpend"].hash
    remark = WHOLE.replace("How far the", "By how much the").replace(
        "    cells = 2\n", "    cells = 2  # least, greatest\n"
    )
    assert load([written(tmp_path, remark)]).groups["CardSpend"].hash == first
    same = WHOLE.replace("cells[1] - cells[0] if", "-(cells[0] - cells[1]) if")
    assert load([written(tmp_path, same)]).groups["CardSpend"].hash != first


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("cells = 2", "", "Swing has cells None"),
        ("cells = 2", "cells = 65", "Swing has cells 65"),
        ("    @staticmethod\n    def merge", "    def merge", "Swing has a merge that is not static"),
        ("def merge(cells: Cells, other: Cells)", "def merge(cells: Cells)", "Swing has a merge of other parameters"),
        ("def update(", "def enter(", "Swing has no update"),
        ("def oracle(", "def truth(", "Swing has no oracle"),
        ("cells[1] = max(cells[1], other[1])", "pass", "Swing is not its oracle: of ["),
        ("if cells[0] <= cells[1] else", "or", "Swing is not its oracle: of [] cut at"),
        ("if cells[0] <= cells[1] else", "/ 0 or", "Swing raises ZeroDivisionError"),
        ("cells[1] = max(cells[1], value)", "cells[2] = value", "Swing raises IndexError"),
        (
            "cells[1] = max(cells[1], other[1])",
            "other[1] = cells[1] = max(cells[1], other[1])",
            "Swing raises ValueError",
        ),
    ],
)
def test_a_class_that_cannot_be_right_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    """Each verb is there, static and of its parameters, and all together are the oracle wherever a window is cut."""
    assert old in SWING
    assert any(what in one for one in mistakes(tmp_path, WHOLE.replace(old, new, 1)))


def test_a_class_inside_a_function_is_refused(tmp_path: Path) -> None:
    """A class that no import path reaches cannot be found by the services."""
    local = "def made():\n" + "".join(f"    {line}\n" if line else "\n" for line in SWING.splitlines())
    (what,) = mistakes(tmp_path, WHOLE.replace(SWING, local + "    return Swing\n\nSwing = made()\n"))
    assert "Swing cannot be imported" in what


def test_a_file_that_bears_a_library_s_name_cannot_hold_one(tmp_path: Path) -> None:
    """Where another module has the file's name, no process could find the class: the load says so and harms neither."""
    json = sys.modules["json"]
    with pytest.raises(PipelineMistakes, match="Swing cannot be imported"):
        load([written(tmp_path, WHOLE, "json.py")])
    assert sys.modules["json"] is json
