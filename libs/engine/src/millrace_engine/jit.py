"""Kernels: functions that numba compiles to machine code, once per machine, into a cache beside their source."""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_FOLDER = Path(__file__).parent


def _fingerprint() -> str:
    """Return a digest of all sources: numba looks at a kernel's own file only, not at those it is compiled from."""
    sources = b"\0".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.py")))
    return hashlib.blake2b(sources, digest_size=8).hexdigest()


_CACHE = _FOLDER / "__pycache__" / f"kernels-{_fingerprint()}"
_CACHED = os.access(_FOLDER, os.W_OK)
"""Where the code is read-only each process compiles for itself: numba takes no cache that it cannot write to."""
_config: Any = numba.config
_config.CACHE_DIR = str(_CACHE)


_njit: Any = partial(numba.njit, cache=_CACHED, nogil=True)
"""Other threads run meanwhile. What its types leave out is `_nrt`, whether code counts references to arrays."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of numbers and arrays. No fast-math: the bits are those that Python's floats would give."""
    compiled: Callable[P, R] = _njit(_nrt=True)(function)
    return compiled


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that makes no array. It counts no references: who calls it holds the memory.

    Half of the time would go into counting, as each event takes arrays out of tuples many times. One that returns
    arrays is for bare kernels alone: any other gives back a reference that was never counted.
    """
    compiled: Callable[P, R] = _njit(_nrt=False)(function)
    return compiled


def leaf(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a bare kernel into each place that calls it: for what runs at each event, feature or event held.

    A call copies all that describes an arena and a layout: a hundred words.
    """
    compiled: Callable[P, R] = _njit(_nrt=False, forceinline=True)(function)
    return compiled
