"""A view as a vector: the ordered inputs of a model, in 32-bit floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millrace.spec import FieldRef, Scalar, ViewSpec
from millrace_engine.columns import Columns, EvaluateColumns, column_name, compile_columns, references
from millrace_engine.expressions import Evaluate, Fields, compile_scalar
from millrace_engine.values import FLOAT32_MAX

Features = Mapping[str, Mapping[str, Scalar]]
"""Values of features by the key of their group (`CardSpend@<hash8>`)."""

NOTHING: Mapping[str, Scalar] = {}


@dataclass(frozen=True, slots=True)
class View:
    """A compiled view. Missing is NaN, so is what a 32-bit float cannot hold; a bool is 0 or 1."""

    spec: ViewSpec
    columns: tuple[Evaluate, ...]
    kernels: tuple[EvaluateColumns, ...]

    def vector(self, groups: Features, fields: Fields) -> NDArray[np.float32]:
        """Return the inputs at one event, `[k]`."""
        named = {name: groups.get(key, NOTHING) for name, key in self.spec.groups.items()}
        return narrowed(np.array([column(named, fields) for column in self.columns], dtype=np.float64))

    def matrix(self, rows: Sequence[tuple[Features, Fields]]) -> NDArray[np.float32]:
        """Return the inputs at many events, `[n, k]`: the same bytes as `vector` of each, stacked."""
        columns = self._columns(rows)
        table = np.empty((len(rows), len(self.kernels)), dtype=np.float64)
        for place, kernel in enumerate(self.kernels):
            table[:, place] = kernel(columns, len(rows))
        return narrowed(table)

    def _columns(self, rows: Sequence[tuple[Features, Fields]]) -> Columns:
        """Return what the rows hold of the fields and features that the view reads."""
        columns: dict[str, list[Scalar]] = {}
        for reference in {one for column in self.spec.columns for one in references(column.expr)}:
            if isinstance(reference, FieldRef):
                column = [fields.get(reference.name) for _, fields in rows]
            else:
                key = self.spec.groups.get(reference.group, "")
                column = [groups.get(key, NOTHING).get(reference.name) for groups, _ in rows]
            columns[column_name(reference)] = column
        return columns


def compile_view(view: ViewSpec) -> View:
    """Return `view` ready to evaluate."""
    expressions = [column.expr for column in view.columns]
    return View(view, tuple(map(compile_scalar, expressions)), tuple(map(compile_columns, expressions)))


def narrowed(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `values` as 32-bit floats; what they cannot hold is missing, as in a group's stored values.

    >>> narrowed(np.array([1.5, 1e300, np.nan])).tolist()
    [1.5, nan, nan]
    """
    return np.where(np.abs(values) <= FLOAT32_MAX, values, np.nan).astype(np.float32)
