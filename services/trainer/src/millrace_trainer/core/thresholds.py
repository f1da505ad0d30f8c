"""Thresholds of trees, rounded down to 32-bit floats, so that a converted model decides as the native one does.

ONNX compares 32-bit floats. For a 32-bit x, `x <= t` holds exactly if `x <= floor32(t)` does; rounding to the nearest,
as converters do, moves some rows to the other branch.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ZERO = np.float32(1e-35)
"""LightGBM reads every value from -ZERO to ZERO as 0 when it predicts."""

_THRESHOLDS = "threshold="
_FEATURES = "split_feature="


def floor32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the greatest 32-bit floats that are not above `values`.

    >>> float(floor32(np.array([0.1]))[0]) <= 0.1 < float(np.float32(0.1))
    True
    """
    limit = np.finfo(np.float32).max
    near = np.clip(values, -limit, limit).astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)


def around_zero(thresholds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return thresholds that send all values that LightGBM reads as 0 the way that 0 goes.

    >>> around_zero(np.array([-1e-35, 0.0, 1.0], np.float32)).tolist()
    [-1.0000000897489909e-35, 1.0000000180025095e-35, 1.0]
    """
    below, above = np.nextafter(-ZERO, np.float32(-np.inf)), ZERO
    near = np.abs(thresholds) <= ZERO
    return np.where(near, np.where(thresholds < 0, below, above), thresholds)


def floored(model: str) -> str:
    """Return the text of a LightGBM model with every threshold on a 32-bit float that decides as the native one does.

    The sizes of trees in its header no longer hold and are left out; the reader does without them.
    """
    return "\n".join(_floored_line(line) for line in model.split("\n") if not line.startswith("tree_sizes="))


def _floored_line(line: str) -> str:
    if not line.startswith(_THRESHOLDS):
        return line
    return _THRESHOLDS + " ".join(repr(float(value)) for value in around_zero(floor32(_numbers(line))))


def boundaries(model: str) -> list[tuple[int, float]]:
    """Return each distinct (column, threshold) of the text of a LightGBM model, sorted."""
    found: set[tuple[int, float]] = set()
    columns: Iterable[int] = ()
    for line in model.split("\n"):
        if line.startswith(_FEATURES):
            columns = [int(column) for column in line.removeprefix(_FEATURES).split()]
        elif line.startswith(_THRESHOLDS):
            found.update(zip(columns, _numbers(line).tolist(), strict=True))
    return sorted(found)


def _numbers(line: str) -> NDArray[np.float64]:
    return np.array(line.removeprefix(_THRESHOLDS).split(), np.float64)
