"""Expressions as trees: on the fields and features of an event, and on the columns of a file."""

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["str", "int", "float", "bool", "datetime"]
Scalar = str | int | float | bool | None
OpName = Literal[
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "and",
    "or",
    "not",
    "fill",
    "is_missing",
    "log1p",
    "clip",
    "scale",
    "bucketise",
    "hash_bucket",
    "category",
]


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of the event at hand."""

    event: str
    name: str
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class FeatureRef:
    """A feature of a group, by the group's class name and the feature's full name (`mean_24h`)."""

    group: str
    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Op:
    """An operation on expressions. A missing operand gives a missing value, except for `fill` and `is_missing`.

    Division by zero is missing. `fill` returns its second operand where the first is missing. The transforms (from
    `log1p` on) take one expression; the operands after it are constants.
    """

    name: OpName
    operands: tuple["Expr", ...]


Expr = FieldRef | FeatureRef | Const | Op


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file; `row_number` is the row's own, from 0."""

    name: str


@dataclass(frozen=True, slots=True)
class FileOp:
    """Arithmetic and comparison on columns and constants, evaluated row by row."""

    name: Literal["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"]
    operands: tuple["FileExpr", ...]


FileExpr = Column | Const | FileOp
