"""Rows of a file as the events that would have been sent, in the order of their time."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from millrace.keys import key_text
from millrace.refusals import Refused
from millrace.spec import (
    Column,
    Const,
    Deployment,
    EventSpec,
    FieldSpec,
    FileEventSpec,
    FileExpr,
    FileOp,
    FileSourceSpec,
    Scalar,
)
from millrace_engine.cells import COERCE, COMPARE, Cell, calculated, compared, rfc3339, time_us

Row = Mapping[str, Cell]
Evaluate = Callable[[Row, int], Cell]

MICROSECONDS_MIN = 4_000_000_000_000
"""The middle of February 1970; as milliseconds it is the year 2096."""


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An event to publish at `at_us`; its time field, as RFC 3339 text, says the same."""

    at_us: int
    type: str
    key: str
    value: dict[str, Scalar]


def events_of(source: FileSourceSpec, deployment: Deployment, rows: Iterable[Row]) -> Iterator[FileEvent]:
    """Yield the events of `rows` in the order of time, of one time in the order of rows, of one row as declared.

    It holds no more rows than lie within the longest delay. The file must be sorted by the time of its rows, which is
    the first event's before its delay. Raises Refused (`bad-row`, `not-sorted`) naming the row, from 0, and the field.
    """
    plans = tuple(_plan(spec, deployment.events[spec.event]) for spec in source.events)
    waiting: list[tuple[int, int, int, FileEvent]] = []
    newest_us: int | None = None
    for number, row in enumerate(rows):
        row_us = plans[0].time_us(row, number)
        if newest_us is not None and row_us < newest_us:
            detail = (
                f"row {number} is of {rfc3339(row_us)}, the one before of {rfc3339(newest_us)}; sort the file by time"
            )
            raise Refused("not-sorted", detail, field=plans[0].contract.time_field)
        newest_us = row_us
        while waiting and waiting[0][0] <= row_us:
            yield heapq.heappop(waiting)[-1]
        for place, plan in enumerate(plans):
            event = plan.event(row, number, not_before_us=row_us)
            if event is not None:
                heapq.heappush(waiting, (event.at_us, number, place, event))
    while waiting:
        yield heapq.heappop(waiting)[-1]


@dataclass(frozen=True, slots=True)
class _Plan:
    """One event class of the source, compiled."""

    contract: EventSpec
    time: Evaluate
    fields: tuple[tuple[FieldSpec, Evaluate], ...]
    where: Evaluate | None
    delay_us: int

    def time_us(self, row: Row, number: int) -> int:
        """Return the time that the row gives, before the delay."""
        try:
            return time_us(self.time(row, number))
        except ValueError as error:
            raise _refused(number, self.contract.time_field, error) from error

    def event(self, row: Row, number: int, *, not_before_us: int) -> FileEvent | None:
        """Return the row's event, None where `where` does not hold."""
        if not self._holds(row, number):
            return None
        own_us = self.time_us(row, number)
        if own_us < not_before_us:
            why = f"{self.contract.type} happens before its row, at {rfc3339(own_us)}"
            raise _refused(number, self.contract.time_field, why)
        at_us = own_us + self.delay_us
        value: dict[str, Scalar] = {}
        for field, evaluate in self.fields:
            cell = rfc3339(at_us) if field.role == "time" else _cell(field, evaluate, row, number)
            if cell is not None:
                value[field.name] = cell
        return FileEvent(at_us, self.contract.type, self._key(value), value)

    def _holds(self, row: Row, number: int) -> bool:
        try:
            return self.where is None or self.where(row, number) is True
        except ValueError as error:
            raise _refused(number, "where", error) from error

    def _key(self, value: Mapping[str, Scalar]) -> str:
        refers = self.contract.refers_field
        names = self.contract.entity_fields if refers is None else (refers,)
        parts = tuple(part for part in map(value.get, names) if isinstance(part, str | int))
        return key_text(parts)


def _cell(field: FieldSpec, evaluate: Evaluate, row: Row, number: int) -> Scalar:
    try:
        cell = COERCE[field.dtype](evaluate(row, number))
    except ValueError as error:
        raise _refused(number, field.name, error) from error
    if cell is None and not field.optional:
        raise _refused(number, field.name, "the cell is empty, and the field must be there")
    return cell


def _refused(number: int, field: str, why: object) -> Refused:
    return Refused("bad-row", f"row {number}: {why}", field=field)


def _plan(spec: FileEventSpec, contract: EventSpec) -> _Plan:
    fields = tuple(
        (field, compile_file(spec.fields[field.name])) for field in contract.fields if field.name in spec.fields
    )
    stated = spec.fields[contract.time_field]
    time = _with_unit(compile_file(stated)) if isinstance(stated, Column) else compile_file(stated)
    where = None if spec.where is None else compile_file(spec.where)
    return _Plan(contract, time, fields, where, spec.delay_us)


def _with_unit(column: Evaluate) -> Evaluate:
    """Return `column`, whose bare numbers are microseconds: refuse those that can only be seconds or milliseconds."""

    def evaluate(row: Row, number: int) -> Cell:
        cell = column(row, number)
        if isinstance(cell, int | float) and abs(cell) < MICROSECONDS_MIN:
            raise ValueError(f"{cell} as microseconds is in 1970; write column(...) * seconds, or * milliseconds")
        return cell

    return evaluate


def compile_file(expr: FileExpr) -> Evaluate:
    """Return an expression on columns as a closure of (row, its number). It raises ValueError saying what is wrong."""
    match expr:
        case Const(value):
            return lambda row, number: value
        case Column("row_number"):
            return lambda row, number: number
        case Column(name):
            return _column(name)
        case FileOp(name, operands):
            left, right = (compile_file(operand) for operand in operands)
            of = compared if name in COMPARE else calculated
            return lambda row, number: of(name, left(row, number), right(row, number))


def _column(name: str) -> Evaluate:
    def evaluate(row: Row, number: int) -> Cell:
        try:
            return row[name]
        except KeyError as error:
            raise ValueError(f"the file has no column `{name}`; it has {', '.join(row)}") from error

    return evaluate
