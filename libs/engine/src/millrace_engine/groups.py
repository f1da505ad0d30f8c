"""A feature group, compiled: what it keeps of an event, and what its stored value says at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from millrace.spec import Const, EventSpec, Expr, FeatureSpec, FieldRef, GroupSpec, Scalar
from millrace_engine.columns import EvaluateColumns, compile_columns
from millrace_engine.customs import compile_custom
from millrace_engine.expressions import compile_scalar
from millrace_engine.layout import (
    RING,
    Float64s,
    GroupColumns,
    Int64s,
    layout_of,
)
from millrace_engine.partials import CELLS_MAX, CODES
from millrace_engine.reading import (
    ABSENT,
    CUT,
    FOREIGN,
    FRESH,
    NOTHING_STORED,
    STALE,
    TILE_CELLS_HELD,
    packed,
    read_all,
)
from millrace_engine.sketches import Cells, cells_of
from millrace_engine.transforms import text_hash
from millrace_engine.values import COPIES, FORMAT, GROUP_MAGIC, Unreadable, word
from millrace_engine.windows import SEEN_CELLS

Evaluate = Callable[[Mapping[str, Mapping[str, Scalar]], Mapping[str, Scalar]], Scalar]
Status = Literal["fresh", "stale", "missing"]
WINDOWLESS = frozenset({"last", "time_since_last"})
ARGUMENTLESS = frozenset({"count", "rate", "time_since_last"})
OF_TEXT = frozenset({"count", "distinct"})
WITH_CURRENT = frozenset({"ratio"})
MISSING = float("nan")
_NO_EVENTS = np.empty((0, 0))
_STATUSES: Mapping[int, Status] = {FRESH: "fresh", STALE: "stale"}
_WHY = {FOREIGN: f"not a feature value of format {FORMAT}", CUT: "a feature value is cut short"}


class GroupValues(msgspec.Struct, frozen=True, gc=False):
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
    columns = GroupColumns(spec, word_, len(expressions), arguments, wheres, customs)
    evaluators = tuple(compile_scalar(expression) for expression in expressions)
    names = tuple((feature.name, feature.dtype == "int") for feature in spec.features)
    kernels = tuple(map(compile_columns, expressions))
    takes_current = any(feature.include_current or feature.op in WITH_CURRENT for feature in spec.features)
    return Group(spec, event, columns, evaluators, kernels, names, takes_current)


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
    event: EventSpec
    columns: GroupColumns
    evaluators: tuple[Evaluate, ...]
    kernels: tuple[EvaluateColumns, ...]
    """What is kept of an event, of one and of many at a time."""
    names: tuple[tuple[str, bool], ...]
    """Each feature's name, and whether its values are whole."""
    takes_current: bool
    """Whether a feature looks at the event that is asked about."""

    def arguments(self, fields: Mapping[str, Scalar]) -> list[float]:
        """Return what is kept of an event beside its time and id."""
        return [number(evaluate({}, fields)) for evaluate in self.evaluators]

    def read(self, value: bytes | None, at_us: int, *, current: Mapping[str, Scalar] | None = None) -> GroupValues:
        """Return what a stored value says at `at_us`; windows decay also where nothing was written since.

        `current` are the fields of the event being asked about, for the features that look at it. Raises Unreadable.
        """
        ((found,),) = GroupReader.of((self,)).read([value], [at_us], None if current is None else [current])
        if isinstance(found, Unreadable):
            raise found
        return found


@dataclass(frozen=True, slots=True)
class GroupReader:
    """Groups that are read together: the values of all of them, of many entities, in one call of a kernel."""

    groups: tuple[Group, ...]
    tables: Int64s
    names: tuple[tuple[str, ...], ...]
    """Of the features of each group."""
    wholes: tuple[bool, ...]
    """Of each feature of all groups, whether its values are whole."""
    topics: tuple[tuple[str, str], ...]
    """What feeds each group: as it stands on raw-data, and as copies."""
    takes_current: bool

    @classmethod
    def of(cls, groups: Sequence[Group]) -> "GroupReader":
        """Return the reader of groups, which may be of different entities."""
        events = tuple(dict.fromkeys(group.event for group in groups))
        return cls(
            tuple(groups),
            packed(layout_of([group.columns for group in groups], events, copies=False)),
            tuple(tuple(name for name, _ in group.names) for group in groups),
            tuple(whole for group in groups for _, whole in group.names),
            tuple(("raw-data", f"raw-data.by-{group.spec.entity_type}") for group in groups),
            any(group.takes_current for group in groups),
        )

    def read(
        self,
        values: Sequence[bytes | None],
        times_us: Sequence[int],
        currents: Sequence[Mapping[str, Scalar]] | None = None,
    ) -> list[list[GroupValues | Unreadable]]:
        """Return of each case, for which there is a time, what its values say then: as `Group.read`, group by group.

        `values` hold one of each group, case by case; Unreadable stands in the place of what cannot be read.
        """
        sizes = [ABSENT if value is None else 0 if len(value) % 8 else len(value) for value in values]
        data = bytearray().join([value for value in values if value and len(value) % 8 == 0]) or bytearray(8)
        said = np.empty((len(times_us), len(self.groups), TILE_CELLS_HELD + 1), dtype=np.int64)
        out = np.empty((len(times_us), len(self.wholes)), dtype=np.float32)
        read_all(
            self.tables,
            np.frombuffer(data, dtype=np.int64),
            np.array([*sizes, *times_us], dtype=np.int64),
            self._columns(currents or ()),
            said,
            out,
        )
        return [self._answers(numbers, facts) for numbers, facts in zip(out.tolist(), said.tolist(), strict=True)]

    def _columns(self, currents: Sequence[Mapping[str, Scalar]]) -> Float64s:
        """Return what the groups keep of the events that are asked about, where a feature looks at them."""
        if not self.takes_current or not currents:
            return _NO_EVENTS
        return np.array([[one for group in self.groups for one in group.arguments(fields)] for fields in currents])

    def _answers(self, numbers: Sequence[float], facts: Sequence[Sequence[int]]) -> list[GroupValues | Unreadable]:
        """Return what is answered of one entity, group by group. To say `strict` takes a quarter of all this."""
        values = iter([None if x != x else int(x) if whole else x for x, whole in zip(numbers, self.wholes)])  # noqa: B905
        found: list[GroupValues | Unreadable] = []
        for names, topics, of_group in zip(self.names, self.topics, facts):  # noqa: B905
            status, age_ms, copied, partition, offset, tile_cells = of_group
            named: dict[str, Scalar] = dict(zip(names, values))  # noqa: B905
            if status < NOTHING_STORED:
                source = topics[copied], partition, offset
                found.append(GroupValues(named, _STATUSES[status], age_ms, source, tile_cells == 0))
            elif status < FOREIGN:
                found.append(GroupValues(named, "missing", None, None))
            else:
                found.append(Unreadable(_WHY[status]))
        return found


def number(value: Scalar) -> float:
    """Return what is kept of a value; text is known by its hash."""
    if value is None:
        return MISSING
    return text_hash(value) if isinstance(value, str) else float(value)


def scratch(windows: int) -> Cells:
    """Return the cells in which a kernel folds one feature, and those that say what each window sees."""
    return cells_of(np.zeros(CELLS_MAX + SEEN_CELLS * windows, dtype=np.int64))


__all__ = ["Group", "GroupValues", "Status", "Unreadable", "compile_group", "number", "scratch"]
