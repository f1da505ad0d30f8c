"""Files as sources: how the rows of a history become the events that would have been sent."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from millrace.durations import UNITS_US
from millrace.places import Place, here

if TYPE_CHECKING:
    from millrace.events import Event

FileOperator = Literal["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"]


class FileExpression:
    """A value that each row of the file has: a column, the row's number, or what is computed from them."""

    def __init__(self) -> None:
        self.place = here()

    def __add__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("add", self, other)

    def __radd__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("add", other, self)

    def __sub__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("sub", self, other)

    def __rsub__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("sub", other, self)

    def __mul__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("mul", self, other)

    def __rmul__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("mul", other, self)

    def __truediv__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("div", self, other)

    def __eq__(self, other: "FileOperand") -> "FileExpression":  # type: ignore[override]  # an expression, not a bool
        return FileOperation("eq", self, other)

    def __ne__(self, other: "FileOperand") -> "FileExpression":  # type: ignore[override]  # as above
        return FileOperation("ne", self, other)

    def __lt__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("lt", self, other)

    def __le__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("le", self, other)

    def __gt__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("gt", self, other)

    def __ge__(self, other: "FileOperand") -> "FileExpression":
        return FileOperation("ge", self, other)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise TypeError("an expression on columns has no truth value yet: no `if`, no `and`, no chained comparison")


FileOperand = FileExpression | str | int | float | bool | datetime


class FileColumn(FileExpression):
    """A column of the file."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class FileConstant(FileExpression):
    """A constant, such as a unit of time in microseconds."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value


class FileOperation(FileExpression):
    """An operation on columns and constants, by its name in `millrace.spec.FileOp`."""

    def __init__(self, name: FileOperator, *operands: FileOperand) -> None:
        super().__init__()
        self.name = name
        self.operands = operands


def column(name: str) -> FileExpression:
    """Return a column of the file by its name."""
    return FileColumn(name)


row_number: FileExpression = FileColumn("row_number")
"""The row's own number, from 0."""
milliseconds: FileExpression = FileConstant(UNITS_US["ms"])
seconds: FileExpression = FileConstant(UNITS_US["s"])
minutes: FileExpression = FileConstant(UNITS_US["m"])
hours: FileExpression = FileConstant(UNITS_US["h"])
days: FileExpression = FileConstant(UNITS_US["d"])


@dataclass(frozen=True, eq=False)
class FileEvent:
    """One event that a row of the file becomes, as written."""

    event: "type[Event]"
    fields: Mapping[str, FileOperand]
    where: FileExpression | None
    delay: str
    place: Place = field(default_factory=here, init=False)


@dataclass(frozen=True, eq=False)
class FileSource:
    """How each row of a file becomes events. The first carries the row and its time, in which the file is sorted."""

    _: KW_ONLY
    events: Sequence[FileEvent]
    place: Place = field(default_factory=here, init=False)
