"""Integer counts on edges frozen in the artifact: exact, mergeable, subtractable, the same bytes on every replay.

The cells of a column are those of millrace_common.profiles: under, one bin per [ei, ei+1), over (x >= eB), null. All
columns lie in one flat vector.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millrace_common.profiles import Counts, count


@dataclass(frozen=True, slots=True)
class Layout:
    """Which edges are counted on, and where each column's cells begin in the flat vector."""

    edges: tuple[tuple[float, ...], ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, edges: Sequence[tuple[float, ...]]) -> "Layout":
        """Lay columns out one after the other; the last entry of `starts` is the whole size.

        >>> Layout.of([(0.0, 1.0), (5.0,)]).starts
        (0, 4, 7)
        """
        starts = [0]
        for one in edges:
            starts.append(starts[-1] + len(one) + 2)
        return cls(tuple(edges), tuple(starts))

    def tally(self, rows: Sequence[Sequence[float | None]]) -> Counts:
        """Count rows of one value per column; values are taken as float32, as models see them.

        >>> Layout.of([(0.0, 1.0), (5.0,)]).tally([(0.5, 9.0), (None, 1.0)]).tolist()
        [0, 1, 0, 1, 1, 1, 0]
        """
        counts = np.zeros(self.starts[-1], dtype=np.int64)
        if rows:
            matrix = np.array(rows, dtype=np.float32)
            for column, edges in enumerate(self.edges):
                self.cells(counts, column)[:] = count(edges, matrix[:, column])
        return counts

    def cells(self, counts: Counts, column: int) -> Counts:
        """Return one column's cells of a flat vector, as a view."""
        return counts[self.starts[column] : self.starts[column + 1]]


def bytes_of(counts: Counts) -> bytes:
    """Return counts as canonical int64 little-endian bytes."""
    return counts.astype("<i8").tobytes()


def counts_of(data: bytes) -> Counts:
    """Return the counts that were written as int64 little-endian bytes.

    >>> counts_of(bytes_of(np.array([1, 2, 3]))).tolist()
    [1, 2, 3]
    """
    return np.frombuffer(data, dtype="<i8").astype(np.int64)


def digest(counts: Counts) -> str:
    """Return the sha256 of counts in their canonical bytes."""
    return "sha256:" + hashlib.sha256(bytes_of(counts)).hexdigest()
