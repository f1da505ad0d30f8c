"""A team's own aggregate: four verbs over a few numbers, and the slow truth that they are held against."""

import array
import ast
import importlib
import inspect
import itertools
import math
import random
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, MutableSequence, Sequence
from typing import ClassVar

Cells = MutableSequence[float]
"""A partial: a fixed number of 64-bit floats, changed in place."""
CELLS_MAX = 64
VERBS = ("prepare", "update", "merge", "finalize", "oracle")
PARAMETERS = {"prepare": 1, "update": 2, "merge": 2, "finalize": 1, "oracle": 1}
TOLERANCE = 1e-6
"""What may lie between the verbs and the oracle, relative to the greatest value: less than a 32-bit float tells."""


class CustomAggregate(ABC):
    """A team's own aggregate over a window, used as `agg.custom(Swing, Transaction.amount).over("24h")`.

    `cells` (1 to 64) is how many 64-bit floats a partial takes: what is remembered of some of the window's values. The
    verbs are static and pure: nothing but their arguments, no state, no clock, no randomness. The engine compiles the
    first four to machine code (numba), so they keep to numbers, `cells[i]`, `if`, loops over `range`, and `math`; the
    oracle is never compiled and may use all of Python. What cannot be compiled stops the features service when it
    starts; a division by zero that the load did not meet gives a missing value.

    Values reach a partial oldest first, but for late ones; partials are merged oldest first. Two partials hold the
    values of different events. How a window is cut into partials changes with what else the entity does, so no result
    may depend on it: a load tries the verbs against the oracle on sequences cut at random places.

    The class is part of the group's content hash, by its text: it must be whole in itself, and in a file that can be
    imported. Helpers that it calls elsewhere are not seen.
    """

    cells: ClassVar[int]

    @staticmethod
    @abstractmethod
    def prepare(cells: Cells) -> None:
        """Write into `cells` what stands for no values. They hold anything when it is called."""

    @staticmethod
    @abstractmethod
    def update(cells: Cells, value: float) -> None:
        """Enter one value, which is a finite number, into a partial."""

    @staticmethod
    @abstractmethod
    def merge(cells: Cells, other: Cells) -> None:
        """Enter all that `other` holds into `cells`; `other` holds the later values and stays as it is."""

    @staticmethod
    @abstractmethod
    def finalize(cells: Cells) -> float:
        """Return what a partial comes to, and leave it as it is; NaN is a missing value."""

    @staticmethod
    @abstractmethod
    def oracle(values: Sequence[float]) -> float:
        """Return what the aggregate of these values (oldest first, or none) is, the plain way; NaN is missing."""


def import_path(aggregate: type[CustomAggregate]) -> str:
    """Return how a declaration names a class: `module:Class`."""
    return f"{aggregate.__module__}:{aggregate.__qualname__}"


def resolve(path: str) -> type[CustomAggregate]:
    """Return the class that an import path names. Raises ImportError, AttributeError or TypeError where it is none."""
    module, _, name = path.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, CustomAggregate)):
        raise TypeError(f"{path} is no CustomAggregate")
    return found


def code_of(aggregate: type[CustomAggregate]) -> str:
    """Return the text of a class and of what it inherits, without comments, docstrings and layout.

    Raises OSError where the text is not to be had.
    """
    own = aggregate.__mro__[: aggregate.__mro__.index(CustomAggregate)]
    trees = [ast.parse(textwrap.dedent(inspect.getsource(one))) for one in own]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return "\n".join(ast.unparse(tree) for tree in trees)


def disagreement(aggregate: type[CustomAggregate]) -> str | None:
    """Return how the verbs and the oracle come apart on some sequences cut at random places; None where they agree."""
    rng = random.Random(1)
    for values in _sequences(rng):
        expected = aggregate.oracle(list(values))
        for _ in range(4):
            cuts = sorted(rng.randint(0, len(values)) for _ in range(rng.randint(0, 3)))
            found = aggregate.finalize(_merged(aggregate, values, [0, *cuts, len(values)]))
            if not _agree(found, expected, values):
                return f"of {_short(values)} cut at {cuts} the verbs make {found!r}, the oracle {expected!r}"
    return None


def _sequences(rng: random.Random) -> Iterator[list[float]]:
    yield []
    for value in (0.0, 1.0, -3.5):
        yield [value]
        yield [value] * 5
    for length in (2, 3, 7, 20, 100):
        yield [float(rng.randint(-5, 5)) for _ in range(length)]
        yield [rng.uniform(-100.0, 100.0) for _ in range(length)]
        yield sorted(rng.lognormvariate(0.0, 2.0) for _ in range(length))


def _merged(aggregate: type[CustomAggregate], values: Sequence[float], bounds: Sequence[int]) -> Cells:
    """Return the partial of all values, each piece between two bounds in a partial of its own."""
    whole = _prepared(aggregate)
    for start, end in itertools.pairwise(bounds):
        part = _prepared(aggregate)
        for value in values[start:end]:
            aggregate.update(part, value)
        before = list(part)
        aggregate.merge(whole, part)
        aggregate.finalize(part)
        if repr(list(part)) != repr(before):
            raise ValueError("merge or finalize changes a partial that it is to leave as it is")
    return whole


def _prepared(aggregate: type[CustomAggregate]) -> Cells:
    cells = array.array("d", [math.nan] * aggregate.cells)
    aggregate.prepare(cells)
    return cells


def _agree(found: float, expected: float, values: Sequence[float]) -> bool:
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    greatest = max((abs(value) for value in values), default=1.0)
    return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE * max(1.0, greatest))


def _short(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:5])
    return f"[{shown}, ... {len(values)} values]" if len(values) > 5 else f"[{shown}]"
