"""A feature group, compiled: what it keeps of an event, and what its stored value says at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from millrace.spec import Const, EventSpec, Expr, FeatureSpec, FieldRef, GroupSpec, Scalar
from millrace_engine.columns import EvaluateColumns, compile_columns
from millrace_engine.customs import compile_custom
from millrace_engine.expressions import compile_scalar
from millrace_engine.layout import (
    ALL_TILE_CELLS,
    FIRST_CELL,
    HEADER_CELLS,
    RING,
    VECTOR_CELLS,
    WORD,
    Columns,
    layout_of,
)
from millrace_engine.partials import CELLS_MAX, CODES, FEATURE_COLUMNS
from millrace_engine.reading import NO_BLOCK, Packed, Values, packed, read_all
from millrace_engine.sketches import Cells, cells_of
from millrace_engine.transforms import text_hash
from millrace_engine.values import COPIES, GROUP_MAGIC, Header, Unreadable, header_of, vector_of, word

Evaluate = Callable[[Mapping[str, Mapping[str, Scalar]], Mapping[str, Scalar]], Scalar]
Status = Literal["fresh", "stale", "missing"]
WINDOWLESS = frozenset({"last", "time_since_last"})
ARGUMENTLESS = frozenset({"count", "rate", "time_since_last"})
OF_TEXT = frozenset({"count", "distinct"})
WITH_CURRENT = frozenset({"ratio"})
MISSING = float("nan")
TABLE_COLUMNS = (FEATURE_COLUMNS, FIRST_CELL + 1, WORD + 1)


class GroupValues(NamedTuple):
    """What the store knows of a group at a time.

    `stale`: the time asked for lies so far before the newest event that the past it needs has been dropped. `missing`:
    nothing is stored; the values are those of an entity without events, as its first row has them.
    """

    values: dict[str, Scalar]
    status: Status
    age_ms: int | None
    source: tuple[str, int, int] | None
    """Topic, partition, offset of the newest event that went in."""
    exact: bool = True
    """False: some of it comes of tiles, whose edge counts whole."""


class Sizes(NamedTuple):
    """Cells of a stored value: header and vector, an entry of the ring, all tiles if it has them."""

    fixed: int
    entry: int
    tiles: int


def compile_group(spec: GroupSpec, event: EventSpec, *, set_: bytes = bytes(4), copies: bool = False) -> "Group":
    """Compile a group on its event. Raises ValueError naming a feature that cannot be computed."""
    expressions: list[Expr] = []

    def column(expression: Expr | None) -> int:
        if expression is None:
            return -1
        if expression not in expressions:
            expressions.append(expression)
        return expressions.index(expression)

    for feature in spec.features:
        _check(spec, feature)
    arguments = tuple(column(feature.argument) for feature in spec.features)
    wheres = tuple(column(feature.where) for feature in spec.features)
    word_ = word(GROUP_MAGIC, COPIES if copies else 0, set_)
    customs = tuple(compile_custom(feature.custom) if feature.custom else None for feature in spec.features)
    columns = Columns(spec, word_, len(expressions), arguments, wheres, customs)
    layout = layout_of((columns,), (event,), copies=copies)
    evaluators = tuple(compile_scalar(expression) for expression in expressions)
    names = tuple((feature.name, feature.dtype == "int") for feature in spec.features)
    fixed = HEADER_CELLS + int(layout.groups[0, VECTOR_CELLS])
    sizes = Sizes(fixed, 2 + len(expressions), int(layout.groups[0, ALL_TILE_CELLS]))
    kernels = tuple(map(compile_columns, expressions))
    takes_current = any(feature.include_current or feature.op in WITH_CURRENT for feature in spec.features)
    return Group(spec, columns, evaluators, kernels, packed(layout), names, sizes, takes_current)


def _check(spec: GroupSpec, feature: FeatureSpec) -> None:
    where = f"{spec.name}.{feature.name}: {feature.op}"
    if feature.op not in CODES:
        raise ValueError(f"{where} is not supported")
    if feature.op not in ARGUMENTLESS and feature.argument is None:
        raise ValueError(f"{where} needs an argument")
    if feature.op not in OF_TEXT and isinstance(feature.argument, FieldRef | Const) and _is_text(feature.argument):
        raise ValueError(f"{where} of text is not supported")
    if feature.op not in WINDOWLESS and feature.window_us is None and (feature.events is None or feature.op == "rate"):
        raise ValueError(f"{where} needs a window")
    if max(feature.n, feature.events or 0) > RING:
        raise ValueError(f"{where} looks at {RING} events at most")


def _is_text(expression: FieldRef | Const) -> bool:
    return expression.dtype == "str" if isinstance(expression, FieldRef) else isinstance(expression.value, str)


@dataclass(frozen=True, slots=True)
class Group:
    """One compiled group. The values of a row and of the store are float32, so that both give a model the same bits."""

    spec: GroupSpec
    columns: Columns
    evaluators: tuple[Evaluate, ...]
    kernels: tuple[EvaluateColumns, ...]
    """What is kept of an event, of one and of many at a time."""
    packed: Packed
    names: tuple[tuple[str, bool], ...]
    """Each feature's name, and whether its values are whole."""
    sizes: Sizes
    takes_current: bool
    """Whether a feature looks at the event that is asked about."""

    def arguments(self, fields: Mapping[str, Scalar]) -> list[float]:
        """Return what is kept of an event beside its time and id."""
        return [number(evaluate({}, fields)) for evaluate in self.evaluators]

    def named(self, numbers: Sequence[float]) -> dict[str, Scalar]:
        """Return features by name: a count is whole, NaN is None."""
        return {
            name: None if number != number else int(number) if whole else number
            for (name, whole), number in zip(self.names, numbers, strict=True)
        }

    def read(self, value: bytes | None, at_us: int, *, current: Mapping[str, Scalar] | None = None) -> GroupValues:
        """Return what a stored value says at `at_us`; windows decay also where nothing was written since.

        `current` are the fields of the event being asked about, for the features that look at it. Raises Unreadable.
        """
        return self.read_many([value], [at_us], [current])[0]

    def read_many(
        self,
        values: Sequence[bytes | None],
        times_us: Sequence[int],
        currents: Sequence[Mapping[str, Scalar] | None] | None = None,
    ) -> list[GroupValues]:
        """Return what each stored value says at its time: as `read`, in one call for all of them. Raises Unreadable."""
        headers = [None if value is None else header_of(value) for value in values]
        given = self._given(currents or [None] * len(values))
        vectors: list[Sequence[float] | None] = [
            self._final(value, header, at_us) if current is None else None
            for value, header, at_us, current in zip(values, headers, times_us, given, strict=True)
        ]
        due = [i for i, vector in enumerate(vectors) if vector is None]
        if due:
            for i in due:
                _refuse_cut(self, values[i], headers[i])
            numbers = self._computed([values[i] for i in due], [times_us[i] for i in due], [given[i] for i in due])
            for i, computed in zip(due, numbers, strict=True):
                vectors[i] = computed
        named = (self.named(vector or ()) for vector in vectors)
        return [self._answer(*one) for one in zip(named, headers, times_us, strict=True)]

    def _final(self, value: bytes | None, header: Header | None, at_us: int) -> Sequence[float] | None:
        """Return the vector that was stored, where it holds at a time."""
        if value is None or header is None or not header.event_time_us < at_us <= header.fresh_until_us:
            return None
        return vector_of(value, len(self.names))

    def _given(self, currents: Sequence[Mapping[str, Scalar] | None]) -> list[list[float] | None]:
        if not self.takes_current:
            return [None] * len(currents)
        return [None if current is None else self.arguments(current) for current in currents]

    def _answer(self, values: dict[str, Scalar], header: Header | None, at_us: int) -> GroupValues:
        if header is None:
            return GroupValues(values, "missing", None, None)
        return GroupValues(
            values,
            "stale" if at_us < header.exact_from_us else "fresh",
            max(0, at_us - header.event_time_us) // 1_000,
            (self.copies_topic if header.flags & COPIES else "raw-data", header.partition, header.offset),
            header.tile_cells == 0,
        )

    @property
    def copies_topic(self) -> str:
        """Return where copies for this group's entity lie."""
        return f"raw-data.by-{self.spec.entity_type}"

    def refuse_cut(self, value: bytes, header: Header) -> None:
        """Raise Unreadable unless the kernels may walk a value."""
        sizes = self.sizes
        cells = sizes.fixed + header.tile_cells + header.events * sizes.entry
        if len(value) != 8 * cells or header.tile_cells not in (0, sizes.tiles):
            raise Unreadable("a feature value is cut short")

    def _computed(
        self, values: Sequence[bytes | None], times_us: Sequence[int], given: Sequence[Sequence[float] | None]
    ) -> list[list[float]]:
        """Return the features of each value, folded anew."""
        asked, first = [], 0
        for value, at_us, current in zip(values, times_us, given, strict=True):
            asked.append((NO_BLOCK if value is None else first, at_us, int(current is not None)))
            first += 0 if value is None else len(value) // 8
        data = bytearray(8) if first == 0 else bytearray().join(value for value in values if value is not None)
        nothing = [MISSING] * self.columns.width
        currents = np.array([[*(current or nothing), MISSING] for current in given]).reshape(len(values), -1)
        out = np.empty((len(values), len(self.names)), dtype=np.float32)
        ints = np.frombuffer(data, dtype=np.int64)
        read_all(self.packed, TABLE_COLUMNS, Values(ints, np.array(asked, dtype=np.int64), currents), out)
        return out.tolist()


def _refuse_cut(group: Group, value: bytes | None, header: Header | None) -> None:
    if value is not None and header is not None:
        group.refuse_cut(value, header)


def number(value: Scalar) -> float:
    """Return what is kept of a value; text is known by its hash."""
    if value is None:
        return MISSING
    return text_hash(value) if isinstance(value, str) else float(value)


def scratch(windows: int) -> Cells:
    """Return the cells in which a kernel folds one feature, and those that say where each window begins."""
    return cells_of(np.zeros(CELLS_MAX + windows, dtype=np.int64))


__all__ = ["Group", "GroupValues", "Status", "Unreadable", "compile_group", "number", "scratch"]
