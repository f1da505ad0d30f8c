"""docs/reference/bad-input.md as its tests see it: rows by name, and the tests that say which rows they prove."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \|(.*)\|$", re.MULTILINE)
PROVEN: set[str] = set()
"""Rows that some test proves; filled as the test modules are imported."""
Test = TypeVar("Test", bound=Callable[..., object])


def rows() -> Mapping[str, tuple[str, ...]]:
    """Return the cells of each row of the page's tables, by the name in its first cell."""
    found = [(name, tuple(cell.strip() for cell in rest.split(" | "))) for name, rest in ROW.findall(PAGE.read_text())]
    assert len(found) == len(dict(found)), "two rows bear one name"
    return dict(found)


def proves(*names: str) -> Callable[[Test], Test]:
    """Note that a test proves rows of the page."""
    PROVEN.update(names)
    return lambda test: test
