"""What all tests share: the options of the command line and how coroutines are run."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.e2e.live_platform"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the project's tests."""
    parser.addoption(
        "--matrix",
        choices=["subset", "whole"],
        default="subset",
        help="a seeded subset of each matrix, the same each time, or the whole of it with other seeds each time",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis draw the same examples each time, or other ones in the whole matrix; never judge by the clock."""
    whole = config.getoption("--matrix") == "whole"
    settings.register_profile(
        "millrace", derandomize=not whole, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("millrace")


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
