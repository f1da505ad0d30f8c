"""What all tests share: the options of the command line and how coroutines are run."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

pytest_plugins = ["tests.e2e.live_platform"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the project's tests."""
    parser.addoption(
        "--matrix",
        choices=["subset", "whole"],
        default="subset",
        help="how many random walks of the settle model are taken: a seeded subset, or the whole matrix",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on a loop of its own."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    coroutine = cast(Callable[..., Coroutine[Any, Any, None]], test)
    asyncio.run(coroutine(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
