"""Expressions of the pipeline file as closures on one event's fields and its entities' features."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import cast

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, Scalar

Fields = Mapping[str, Scalar]
Groups = Mapping[str, Mapping[str, Scalar]]
Evaluate = Callable[[Groups, Fields], Scalar]

ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
COMPARISON: Mapping[str, Callable[[Scalar, Scalar], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,  # type: ignore[dict-item]  # the loader lets only values of one kind be compared
    "le": operator.le,  # type: ignore[dict-item]  # as above
    "gt": operator.gt,  # type: ignore[dict-item]  # as above
    "ge": operator.ge,  # type: ignore[dict-item]  # as above
    "and": lambda left, right: bool(left) and bool(right),
    "or": lambda left, right: bool(left) or bool(right),
}


def compile_scalar(expr: Expr) -> Evaluate:
    """Return `expr` as a closure of (features by group's class name, the event's fields).

    Missing (None) comes of a missing operand, a division by zero and a number beyond 64-bit floats; only `fill` takes a
    missing operand. Arithmetic is in 64-bit floats.

    >>> compile_scalar(Op("div", (FieldRef("sale", "amount", "float"), Const(4))))({}, {"amount": 6.0})
    1.5
    """
    match expr:
        case Const(value):
            return lambda groups, fields: value
        case FieldRef(name=name):
            return lambda groups, fields: fields.get(name)
        case FeatureRef(group, name):
            return _feature(group, name)
        case Op(name, operands):
            return _operation(name, tuple(compile_scalar(operand) for operand in operands))


def _feature(group: str, name: str) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        values = groups.get(group)
        return None if values is None else values.get(name)

    return evaluate


def _operation(name: str, operands: tuple[Evaluate, ...]) -> Evaluate:
    if name in ARITHMETIC:
        return _arithmetic(ARITHMETIC[name], *operands)
    if name in COMPARISON:
        return _comparison(COMPARISON[name], *operands)
    if name == "fill":
        return _fill(*operands)
    return _negation(*operands) if name == "neg" else _inversion(*operands)


def _arithmetic(of: Callable[[float, float], float], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        first, second = left(groups, fields), right(groups, fields)
        if first is None or second is None:
            return None
        try:
            value = of(float(first), float(second))
        except ArithmeticError:
            return None
        return value if math.isfinite(value) else None

    return evaluate


def _comparison(of: Callable[[Scalar, Scalar], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        first, second = left(groups, fields), right(groups, fields)
        return None if first is None or second is None else of(first, second)

    return evaluate


def _fill(operand: Evaluate, instead: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return instead(groups, fields) if value is None else value

    return evaluate


def _negation(operand: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return None if value is None else -cast(float, value)

    return evaluate


def _inversion(operand: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return None if value is None else not value

    return evaluate
