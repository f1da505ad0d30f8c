"""The whole matrices: taken with `--matrix=whole` only."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this folder out of the subset."""
    if config.getoption("--matrix") == "whole":
        return
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    config.hook.pytest_deselected(items=mine)
    items[:] = [item for item in items if item not in mine]
