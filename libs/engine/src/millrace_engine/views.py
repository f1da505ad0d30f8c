"""A view as a vector: the ordered inputs of a model, in 32-bit floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millrace.spec import Scalar, ViewSpec
from millrace_engine.expressions import Evaluate, Fields, compile_scalar

Features = Mapping[str, Mapping[str, Scalar]]
"""Values of features by the key of their group (`CardSpend@<hash8>`)."""

FLOAT32_MAX = float(np.finfo(np.float32).max)
NOTHING: Mapping[str, Scalar] = {}


@dataclass(frozen=True, slots=True)
class View:
    """A compiled view. Missing is NaN, so is what a 32-bit float cannot hold; a bool is 0 or 1."""

    spec: ViewSpec
    columns: tuple[Evaluate, ...]

    def vector(self, groups: Features, fields: Fields) -> NDArray[np.float32]:
        """Return the inputs at one event, `[k]`."""
        named = self._named(groups)
        return narrowed(np.array([column(named, fields) for column in self.columns], dtype=np.float64))

    def matrix(self, rows: Sequence[tuple[Features, Fields]]) -> NDArray[np.float32]:
        """Return the inputs at many events, `[n, k]`: the same bytes as `vector` of each, stacked."""
        inputs = [(self._named(groups), fields) for groups, fields in rows]
        table = np.empty((len(rows), len(self.columns)), dtype=np.float64)
        for place, column in enumerate(self.columns):
            table[:, place] = np.array([column(named, fields) for named, fields in inputs], dtype=np.float64)
        return narrowed(table)

    def _named(self, groups: Features) -> Features:
        return {name: groups.get(key, NOTHING) for name, key in self.spec.groups.items()}


def compile_view(view: ViewSpec) -> View:
    """Return `view` ready to evaluate."""
    return View(view, tuple(compile_scalar(column.expr) for column in view.columns))


def narrowed(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `values` as 32-bit floats; what they cannot hold is missing, as in a group's stored values.

    >>> narrowed(np.array([1.5, 1e300, np.nan])).tolist()
    [1.5, nan, nan]
    """
    return np.where(np.abs(values) <= FLOAT32_MAX, values, np.nan).astype(np.float32)
