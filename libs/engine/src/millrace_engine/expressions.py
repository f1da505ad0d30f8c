"""Expressions of the pipeline file as closures on one event's fields and its entities' features."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, OpName, Scalar
from millrace_engine.transforms import OF_NUMBERS, OF_TEXTS, number_transform, text_transform

Fields = Mapping[str, Scalar]
Groups = Mapping[str, Mapping[str, Scalar]]
Evaluate = Callable[[Groups, Fields], Scalar]
Number = Callable[[Scalar], float]

ARITHMETIC: Mapping[OpName, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
COMPARISON: Mapping[OpName, Callable[[str | float, str | float], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": lambda left, right: bool(left) and bool(right),
    "or": lambda left, right: bool(left) or bool(right),
}


def compile_scalar(expr: Expr) -> Evaluate:
    """Return `expr` as a closure of (features by group's class name, the event's fields).

    Missing (None) comes of a missing operand, a division by zero and a number beyond 64-bit floats; only `fill` and
    `is_missing` take a missing operand. Arithmetic and comparisons are in 64-bit floats.

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
        case Op(name, operands) if name in OF_NUMBERS or name in OF_TEXTS:
            return _transform(name, compile_scalar(operands[0]), constants(expr))
        case Op(name, operands):
            return _operation(name, tuple(compile_scalar(operand) for operand in operands))


def constants(transform: Op) -> tuple[Scalar, ...]:
    """Return the constants that stand after a transform's operand."""
    return tuple(operand.value for operand in transform.operands[1:] if isinstance(operand, Const))


def _feature(group: str, name: str) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        values = groups.get(group)
        return None if values is None else values.get(name)

    return evaluate


def _operation(name: OpName, operands: tuple[Evaluate, ...]) -> Evaluate:
    if name in ARITHMETIC:
        return _arithmetic(ARITHMETIC[name], *operands)
    if name in COMPARISON:
        return _comparison(COMPARISON[name], *operands)
    return UNLIKE[name](*operands)


def _transform(name: OpName, operand: Evaluate, fixed: Sequence[Scalar]) -> Evaluate:
    if name in OF_TEXTS:
        code = text_transform(name, fixed).one

        def coded(groups: Groups, fields: Fields) -> Scalar:
            value = operand(groups, fields)
            return None if value is None else code(cast(str, value))

        return coded
    transform = number_transform(name, fixed).one

    def transformed(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return None if value is None else transform(float(value))

    return transformed


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


def _comparison(of: Callable[[str | float, str | float], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        first, second = left(groups, fields), right(groups, fields)
        return None if first is None or second is None else of(_comparable(first), _comparable(second))

    return evaluate


def _comparable(value: str | float) -> str | float:
    return value if isinstance(value, str) else float(value)


def _fill(operand: Evaluate, instead: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return instead(groups, fields) if value is None else value

    return evaluate


def _is_missing(operand: Evaluate) -> Evaluate:
    return lambda groups, fields: operand(groups, fields) is None


def _negation(operand: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return None if value is None else -float(value)

    return evaluate


def _inversion(operand: Evaluate) -> Evaluate:
    def evaluate(groups: Groups, fields: Fields) -> Scalar:
        value = operand(groups, fields)
        return None if value is None else not value

    return evaluate


UNLIKE: Mapping[OpName, Callable[..., Evaluate]] = {
    "fill": _fill,
    "is_missing": _is_missing,
    "neg": _negation,
    "not": _inversion,
}
"""Operations with a way of their own with what is missing, or with one operand."""
