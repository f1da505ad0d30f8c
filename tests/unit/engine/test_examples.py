"""The examples in docstrings of what compiles contracts, expressions, views and files."""

import doctest
from types import ModuleType

import pytest

from millrace_engine import cells, contracts, expressions, views


@pytest.mark.parametrize("module", [cells, contracts, expressions, views])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    """Every example in a docstring gives what it says."""
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
