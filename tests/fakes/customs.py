"""Aggregates of a team, for tests: one that is right, and one that no machine code can be made of."""

import math
from collections.abc import Sequence

from millrace import Cells, CustomAggregate


class Swing(CustomAggregate):
    """How far the values lie apart, and nothing where there are none."""

    cells = 2

    @staticmethod
    def prepare(cells: Cells) -> None:
        """Hold no values: the least is infinite, and so is the greatest."""
        cells[0], cells[1] = math.inf, -math.inf

    @staticmethod
    def update(cells: Cells, value: float) -> None:
        """Enter a value."""
        cells[0] = min(cells[0], value)
        cells[1] = max(cells[1], value)

    @staticmethod
    def merge(cells: Cells, other: Cells) -> None:
        """Enter other values."""
        cells[0] = min(cells[0], other[0])
        cells[1] = max(cells[1], other[1])

    @staticmethod
    def finalize(cells: Cells) -> float:
        """Return the greatest less the least."""
        return cells[1] - cells[0] if cells[0] <= cells[1] else math.nan

    @staticmethod
    def oracle(values: Sequence[float]) -> float:
        """Return the same of all values at once."""
        return max(values) - min(values) if values else math.nan


class Alternating(CustomAggregate):
    """The sum of the values whose sign is turned at every second one: the order of merging matters."""

    cells = 2

    @staticmethod
    def prepare(cells: Cells) -> None:
        """Hold no values."""
        cells[0], cells[1] = 0.0, 1.0

    @staticmethod
    def update(cells: Cells, value: float) -> None:
        """Enter a value with the sign that is due."""
        cells[0] += cells[1] * value
        cells[1] = -cells[1]

    @staticmethod
    def merge(cells: Cells, other: Cells) -> None:
        """Enter later values, turned where an odd number came before."""
        cells[0] += cells[1] * other[0]
        cells[1] *= other[1]

    @staticmethod
    def finalize(cells: Cells) -> float:
        """Return the sum."""
        return cells[0]

    @staticmethod
    def oracle(values: Sequence[float]) -> float:
        """Return the same of all values at once."""
        return sum(values[0::2]) - sum(values[1::2])


class Texts(Swing):
    """An update that machine code has no way of doing."""

    @staticmethod
    def update(cells: Cells, value: float) -> None:
        """Enter a value by way of a text."""
        cells[0] = cells[1] = float(eval(str(value)))
