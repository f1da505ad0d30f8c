"""Expressions as kernels on columns: the same bits as the closures of `expressions`, many events at a time.

A column comes as a plain list of what the events hold, None where one holds nothing; a number is taken by one call of
NumPy. Inside, a column of numbers is float64 with NaN for missing, true is 1, and a column of text stays a list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, OpName, Scalar
from millrace_engine.expressions import constants
from millrace_engine.transforms import (
    MISSING,
    OF_NUMBERS,
    OF_TEXTS,
    Numbers,
    TextTransform,
    finite,
    number_transform,
    text_hash,
    text_transform,
)

Columns = Mapping[str, Sequence[Scalar]]
"""What n events hold, by `column_name`; a column that is not there is missing throughout."""
EvaluateColumns = Callable[[Columns, int], NDArray[np.float64]]
"""Takes columns and n, returns float64[n]; the array may not be written to."""
EvaluateTexts = Callable[[Columns, int], list[str | None]]

ARITHMETIC: Mapping[OpName, Callable[[Numbers, Numbers], Numbers]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
}
COMPARISON: Mapping[OpName, Callable[[Numbers, Numbers], NDArray[np.bool_]]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
}
TEXT_HASH = TextTransform(text_hash)


def compile_columns(expr: Expr) -> EvaluateColumns:
    """Return `expr` as a kernel of (columns, how many events): NaN is missing, true is 1, text is its `text_hash`.

    >>> half = Op("div", (FieldRef("sale", "amount", "float"), Const(2)))
    >>> compile_columns(half)({"amount": [6.0, None, 1]}, 3).tolist()
    [3.0, nan, 0.5]
    """
    if is_text(expr):
        texts = _texts(expr)
        return lambda columns, n: TEXT_HASH.column(texts(columns, n))
    match expr:
        case Const(value):
            number = MISSING if value is None else float(value)
            return lambda columns, n: np.full(n, number)
        case FieldRef() | FeatureRef():
            return _taken(column_name(expr))
        case Op():
            return _operation(expr)


def column_name(reference: FieldRef | FeatureRef) -> str:
    """Return under which name a reference looks for its column.

    >>> column_name(FeatureRef("CardSpend", "n_1h")), column_name(FieldRef("sale", "amount", "float"))
    ('CardSpend.n_1h', 'amount')
    """
    return reference.name if isinstance(reference, FieldRef) else f"{reference.group}.{reference.name}"


def references(expr: Expr) -> Iterator[FieldRef | FeatureRef]:
    """Yield the fields and features that an expression reads."""
    if isinstance(expr, Op):
        for operand in expr.operands:
            yield from references(operand)
    elif not isinstance(expr, Const):
        yield expr


def is_text(expr: Expr) -> bool:
    """Return whether an expression comes to text."""
    match expr:
        case Const(value):
            return isinstance(value, str)
        case FieldRef(dtype=dtype):
            return dtype == "str"
        case Op("fill", operands):
            return any(is_text(operand) for operand in operands)
    return False


def _taken(name: str) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        column = columns.get(name)
        return np.full(n, MISSING) if column is None else np.array(column, dtype=np.float64)

    return evaluate


def _texts(expr: Expr) -> EvaluateTexts:
    """Return an expression that comes to text, or to nothing."""
    match expr:
        case Op("fill", (first, second)):
            return _filled_texts(_texts(first), _texts(second))
        case FieldRef(name=name):
            return lambda columns, n: _text_column(columns.get(name), n)
        case Const(value):
            text = None if value is None else str(value)
            return lambda columns, n: [text] * n
    raise ValueError(f"{expr} is no text")


def _text_column(column: Sequence[Scalar] | None, n: int) -> list[str | None]:
    return [None] * n if column is None else list(column)  # type: ignore[arg-type]  # the contract says it is text


def _filled_texts(operand: EvaluateTexts, instead: EvaluateTexts) -> EvaluateTexts:
    def evaluate(columns: Columns, n: int) -> list[str | None]:
        pairs = zip(operand(columns, n), instead(columns, n), strict=True)
        return [other if value is None else value for value, other in pairs]

    return evaluate


def _operation(op: Op) -> EvaluateColumns:
    name, operands = op.name, op.operands
    if name in OF_TEXTS:
        return _coded(text_transform(name, constants(op)), _texts(operands[0]))
    if name in OF_NUMBERS:
        return _transformed(number_transform(name, constants(op)).column, compile_columns(operands[0]))
    if name in ("eq", "ne") and any(is_text(operand) for operand in operands):
        return _same_text(*operands, same=name == "eq")
    kernels = tuple(compile_columns(operand) for operand in operands)
    if name in ARITHMETIC:
        return _arithmetic(ARITHMETIC[name], *kernels)
    if name in COMPARISON:
        return _comparison(COMPARISON[name], *kernels)
    return UNLIKE[name](*kernels)


def _coded(transform: TextTransform, operand: EvaluateTexts) -> EvaluateColumns:
    return lambda columns, n: transform.column(operand(columns, n))


def _transformed(of: Callable[[Numbers], Numbers], operand: EvaluateColumns) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        with np.errstate(all="ignore"):
            return of(operand(columns, n))

    return evaluate


def _arithmetic(
    of: Callable[[Numbers, Numbers], Numbers], left: EvaluateColumns, right: EvaluateColumns
) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        with np.errstate(all="ignore"):
            return finite(of(left(columns, n), right(columns, n)))

    return evaluate


def _comparison(
    of: Callable[[Numbers, Numbers], NDArray[np.bool_]], left: EvaluateColumns, right: EvaluateColumns
) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        first, second = left(columns, n), right(columns, n)
        return np.where(np.isnan(first) | np.isnan(second), MISSING, of(first, second))

    return evaluate


def _same_text(left: Expr, right: Expr, *, same: bool) -> EvaluateColumns:
    if isinstance(right, Const) and right.value is not None:
        value = right.value
        return _coded(TextTransform(lambda text: float((text == value) is same)), _texts(left))
    return _same_texts(_texts(left), _texts(right), same=same)


def _same_texts(left: EvaluateTexts, right: EvaluateTexts, *, same: bool) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        pairs = zip(left(columns, n), right(columns, n), strict=True)
        found = [MISSING if a is None or b is None else float((a == b) is same) for a, b in pairs]
        return np.array(found, dtype=np.float64)

    return evaluate


def _fill(operand: EvaluateColumns, instead: EvaluateColumns) -> EvaluateColumns:
    def evaluate(columns: Columns, n: int) -> Numbers:
        values = operand(columns, n)
        return np.where(np.isnan(values), instead(columns, n), values)

    return evaluate


def _is_missing(operand: EvaluateColumns) -> EvaluateColumns:
    return lambda columns, n: np.isnan(operand(columns, n)).astype(np.float64)


UNLIKE: Mapping[OpName, Callable[..., EvaluateColumns]] = {
    "fill": _fill,
    "is_missing": _is_missing,
    "neg": lambda operand: lambda columns, n: np.negative(operand(columns, n)),
    "not": lambda operand: lambda columns, n: 1.0 - operand(columns, n),
}
"""Operations with a way of their own with what is missing, or with one operand."""
