"""A feature group, compiled: what it keeps of an event, and what its stored value says at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from millrace.spec import Const, EventSpec, Expr, FeatureSpec, FieldRef, GroupSpec, Scalar
from millrace_engine.arena import NO_BLOCK
from millrace_engine.columns import EvaluateColumns, compile_columns
from millrace_engine.customs import compile_custom
from millrace_engine.expressions import compile_scalar
from millrace_engine.layout import ALL_TILE_CELLS, RING, VECTOR_CELLS, Columns, Layout, layout_of
from millrace_engine.partials import CELLS_MAX, CODES, COUNTED
from millrace_engine.sketches import Cells, cells_of
from millrace_engine.transforms import text_hash
from millrace_engine.values import COPIES, GROUP_MAGIC, HEADER_BYTES, Unreadable, header_of, vector_of, word
from millrace_engine.windows import Asked, group_values

Evaluate = Callable[[Mapping[str, Mapping[str, Scalar]], Mapping[str, Scalar]], Scalar]
Status = Literal["fresh", "stale", "missing"]
WINDOWLESS = frozenset({"last", "time_since_last"})
ARGUMENTLESS = frozenset({"count", "rate", "time_since_last"})
OF_TEXT = frozenset({"count", "distinct"})
WITH_CURRENT = frozenset({"ratio"})
MISSING = float("nan")


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
    return Group(spec, columns, evaluators, tuple(map(compile_columns, expressions)), layout)


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
    layout: Layout

    @property
    def takes_current(self) -> bool:
        """Say whether a feature looks at the event that is asked about."""
        return any(feature.include_current or feature.op in WITH_CURRENT for feature in self.spec.features)

    def arguments(self, fields: Mapping[str, Scalar]) -> list[float]:
        """Return what is kept of an event beside its time and id."""
        return [number(evaluate({}, fields)) for evaluate in self.evaluators]

    def named(self, numbers: Sequence[float]) -> dict[str, Scalar]:
        """Return features by name: a count is whole, NaN is None."""
        return {
            feature.name: None if number != number else int(number) if feature.op in COUNTED else number
            for feature, number in zip(self.spec.features, numbers, strict=True)
        }

    def read(self, value: bytes | None, at_us: int, *, current: Mapping[str, Scalar] | None = None) -> GroupValues:
        """Return what a stored value says at `at_us`; windows decay also where nothing was written since.

        `current` are the fields of the event being asked about, for the features that look at it. Raises Unreadable.
        """
        given = self.arguments(current) if current is not None and self.takes_current else None
        if value is None:
            numbers = self._computed(b"", at_us, given)
            return GroupValues(self.named(numbers), "missing", None, None)
        header = header_of(value)
        if header.event_time_us < at_us <= header.fresh_until_us and given is None:
            values = self.named(vector_of(value, len(self.spec.features)))
        else:
            self.refuse_cut(value)
            values = self.named(self._computed(value, at_us, given))
        topic = f"raw-data.by-{self.spec.entity_type}" if header.flags & COPIES else "raw-data"
        return GroupValues(
            values,
            "stale" if at_us < header.exact_from_us else "fresh",
            max(0, at_us - header.event_time_us) // 1_000,
            (topic, header.partition, header.offset),
            header.tile_cells == 0,
        )

    def refuse_cut(self, value: bytes) -> None:
        """Raise Unreadable unless the kernels may walk a value."""
        header, groups = header_of(value), self.layout.groups
        ring_cells = header.events * (2 + self.columns.width)
        cells = HEADER_BYTES // 8 + int(groups[0, VECTOR_CELLS]) + header.tile_cells + ring_cells
        if len(value) != 8 * cells or header.tile_cells not in (0, int(groups[0, ALL_TILE_CELLS])):
            raise Unreadable("a feature value is cut short")

    def _computed(self, value: bytes, at_us: int, current: Sequence[float] | None) -> list[float]:
        cells = cells_of(np.frombuffer(value or bytes(8), dtype=np.int64).copy())
        asked = Asked(0, 0 if value else NO_BLOCK, at_us, current is not None)
        given = np.array([*(current or [MISSING] * self.columns.width), MISSING])
        out = np.empty(len(self.spec.features), dtype=np.float32)
        group_values(self.layout, cells, asked, given, scratch(), out)
        return list(map(float, out))


def number(value: Scalar) -> float:
    """Return what is kept of a value; text is known by its hash."""
    if value is None:
        return MISSING
    return text_hash(value) if isinstance(value, str) else float(value)


def scratch() -> Cells:
    """Return the cells in which a kernel folds one feature."""
    return cells_of(np.zeros(CELLS_MAX, dtype=np.int64))


__all__ = ["Group", "GroupValues", "Status", "Unreadable", "compile_group", "number", "scratch"]
