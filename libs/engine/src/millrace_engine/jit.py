"""Kernels: functions that numba compiles to machine code, once per machine, into the cache beside their source."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def leaf(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a small function into each place that calls it: for what runs once per feature or per event held."""
    compiled: Callable[P, R] = numba.njit(cache=True, inline="always")(function)
    return compiled


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of numbers and arrays. No fast-math: the bits are those that Python's floats would give."""
    compiled: Callable[P, R] = numba.njit(cache=True)(function)
    return compiled
