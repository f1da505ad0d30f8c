"""What stored values say at given times: one call of a kernel for many values of a group.

A call from Python costs by the arrays it hands over, so the tables of a layout go as one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millrace_engine.arena import NO_BLOCK
from millrace_engine.jit import borrowed, kernel
from millrace_engine.layout import Float64s, Int64s, Layout
from millrace_engine.partials import CELLS_MAX
from millrace_engine.sketches import Cells, cells_like
from millrace_engine.windows import Asked, group_values


class Packed(NamedTuple):
    """The tables of a layout end to end, and how many rows each has."""

    tables: Int64s
    rows: tuple[int, int, int]


class Values(NamedTuple):
    """Values end to end; of each: [first cell or NO_BLOCK, time, whether the event is given]; the events themselves."""

    ints: Int64s
    asked: NDArray[np.int64]
    current: Float64s


def packed(layout: Layout) -> Packed:
    """Return what `read_all` needs of a layout of one group."""
    tables = (layout.features, layout.windows, layout.groups)
    return Packed(
        np.concatenate([table.ravel() for table in tables]),
        (len(layout.features), len(layout.windows), len(layout.groups)),
    )


@kernel
def _unpacked(layout: Packed, columns: tuple[int, int, int]) -> Layout:
    tables = borrowed(layout.tables)
    a = layout.rows[0] * columns[0]
    b = a + layout.rows[1] * columns[1]
    end = b + layout.rows[2] * columns[2]
    groups = tables[b:end].reshape(layout.rows[2], columns[2])
    return Layout(
        tables[:a].reshape(layout.rows[0], columns[0]),
        tables[a:b].reshape(layout.rows[1], columns[1]),
        groups,
        groups,
        groups,
        tables,
        0,
        0,
    )


@kernel
def read_all(layout: Packed, columns: tuple[int, int, int], values: Values, out: NDArray[np.float32]) -> None:
    """Write the features of each value, `[n, features]`."""
    unpacked = _unpacked(layout, columns)
    ints, asked, current = borrowed(values.ints), borrowed(values.asked), borrowed(values.current)
    cells, scratch = Cells(ints, ints.view(np.float64)), cells_like(CELLS_MAX + len(unpacked.windows))
    for i in range(len(asked)):
        one = Asked(0, asked[i, 0], asked[i, 1], asked[i, 2] == 1)
        group_values(unpacked, cells, one, current[i], scratch, out[i])


__all__ = ["NO_BLOCK", "Packed", "Values", "packed", "read_all"]
