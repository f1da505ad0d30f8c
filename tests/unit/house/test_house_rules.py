"""The house rules that no ready tool checks: size of functions and modules, and a file's place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FUNCTION_LINES_MAX = 40
MODULE_LINES_MAX = 300
PRODUCT = ("libs", "services", "cli", "pipelines")
EVERYTHING = (*PRODUCT, "tests", "benchmarks")


def modules(*folders: str) -> Iterator[Path]:
    """Yield the Python files of folders."""
    for folder in folders:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts)


def long_functions(source: str) -> list[str]:
    """Return the functions whose body, without the docstring, is longer than the limit."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            has_docstring = ast.get_docstring(node, clean=False) is not None
            body = node.body[1:] if has_docstring and len(node.body) > 1 else node.body
            lines = (node.end_lineno or node.lineno) - body[0].lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{node.name} ({lines} lines)")
    return found


@pytest.mark.parametrize("folder", EVERYTHING)
def test_functions_and_modules_stay_small(folder: str) -> None:
    """A function body has at most 40 lines, a module at most 300."""
    wrong = [
        f"{path.relative_to(ROOT)}: {what}"
        for path in modules(folder)
        for what in (
            *long_functions(path.read_text()),
            *(["module too long"] if len(path.read_text().splitlines()) > MODULE_LINES_MAX else []),
        )
    ]

    assert wrong == []


def test_the_size_check_can_fail() -> None:
    """A planted function of 41 lines is found, one of 40 is not."""
    forty = "def f():\n    '''Do.'''\n" + "    x = 1\n" * 40

    assert long_functions(forty) == []
    assert long_functions(forty + "    x = 2\n") == ["f (41 lines)"]


def test_no_module_bears_a_name_without_meaning() -> None:
    """Nothing is called utils, helpers, manager, base, impl, legacy or new."""
    shunned = {"utils", "util", "helpers", "helper", "manager", "base", "impl", "legacy", "new", "misc", "common2"}

    assert [str(path) for path in modules(*PRODUCT) if path.stem.lstrip("_") in shunned - {"base"}] == []


def test_tests_patch_nothing_and_product_code_has_no_markers_of_unfinished_work() -> None:
    """Fakes pass through the seams; what is not done is not there."""
    marks = ("mock" + ".patch", "monkeypatch" + ".setattr", "TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")
    wrong = [
        f"{path.relative_to(ROOT)}: {mark}"
        for path in modules(*EVERYTHING)
        for mark in marks
        if mark in path.read_text()
    ]

    assert wrong == []


def test_every_rule_that_is_named_stands_in_the_settle_protocol() -> None:
    """R1 to R14 are said in docs/settling.md, and no code names another."""
    said = set(re.findall(r"^\| (R\d+) \|", (ROOT / "docs" / "settling.md").read_text(), re.MULTILINE))
    named = {rule for path in modules(*EVERYTHING) for rule in re.findall(r"\bR\d+\b", path.read_text())}

    assert said == {f"R{number}" for number in range(1, 15)}
    assert named <= said


@pytest.mark.parametrize("name", ["runtime", "dev", "tools"])
def test_both_pythons_get_the_same_versions(name: str) -> None:
    """A package is pinned once: what holds on one of them has been tried on the other."""
    pinned = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text())

    assert len(pinned) == len(set(pinned)) > 0


def test_every_link_of_the_documentation_leads_to_a_file() -> None:
    """What a page links to inside the repository is there."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(page, to) for page in pages for to in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]

    assert links
    assert [f"{page.name}: {to}" for page, to in links if not (page.parent / to).exists()] == []
