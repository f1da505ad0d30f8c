"""Expressions as trees of names, with the type of what they come to."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, get_args

from millrace.checks.draft import Draft
from millrace.checks.events import event_spec
from millrace.checks.operations import fault, result
from millrace.events import Event, Field
from millrace.expressions import AnyExpression, Derived, Operand, Operation
from millrace.groups import Feature, FeatureGroup
from millrace.places import Place
from millrace.spec import Const, Dtype, Expr, FeatureRef, FieldRef, GroupSpec, Op, OpName


class Typed(NamedTuple):
    """A checked expression and the type of its value."""

    expr: Expr
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: the event whose fields it may use, and how it may come to features, if it may."""

    event: type[Event]
    draft: Draft
    what: str
    group: Callable[[type[FeatureGroup], Draft], GroupSpec | None] | None = None


def checked(expression: Operand, place: Place, scope: Scope) -> Typed | None:
    """Return an expression checked in its scope; None where it has mistakes, which are then told."""
    if isinstance(expression, Field):
        return _field(expression, place, scope)
    if isinstance(expression, Feature):
        return _feature(expression, scope)
    if isinstance(expression, Operation):
        return _operation(expression, scope)
    if isinstance(expression, Derived):
        return checked(expression.expression, expression.place, scope)
    if isinstance(expression, bool | int | float | str):
        return _const(expression, place, scope)
    mend = "use fields, features, numbers, text, true and false"
    scope.draft.mistake(place, f"{scope.what}: {type(expression).__name__} is no expression", mend=mend)
    return None


def _const(value: str | int | float | bool, place: Place, scope: Scope) -> Typed | None:
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        scope.draft.mistake(place, f"{scope.what}: {value} is no finite number", mend="use 64-bit floats")
        return None
    return Typed(Const(value), _constant(value))


def _constant(value: str | int | float | bool) -> Dtype:
    kinds: tuple[tuple[type, Dtype], ...] = ((bool, "bool"), (int, "int"), (float, "float"))
    return next((dtype for kind, dtype in kinds if isinstance(value, kind)), "str")


def _field(field: Field[AnyExpression], place: Place, scope: Scope) -> Typed | None:  # type: ignore[type-var]  # any field
    owner = field.event
    if owner is not scope.event:
        name = f"{owner.__name__ if owner else '?'}.{field.name}"
        mend = f"use fields of {scope.event.__name__} only"
        scope.draft.mistake(place, f"{scope.what}: {name} is a field of another event", mend=mend)
        return None
    spec = event_spec(owner, scope.draft)
    known = next((one for one in spec.fields if one.name == field.name), None) if spec else None
    return Typed(FieldRef(spec.type, known.name, known.dtype), known.dtype) if spec and known else None


def _feature(feature: Feature[object], scope: Scope) -> Typed | None:
    source, name = feature.source, feature.full_name
    if scope.group is None:
        mend = "use fields of the event here; combine features with derive(...) in the view"
        scope.draft.mistake(feature.place, f"{scope.what}: {name} is a feature", mend=mend)
        return None
    if source.group is None:
        mend = "assign the aggregate to a name in the body of a FeatureGroup"
        scope.draft.mistake(feature.place, f"{scope.what}: a feature that is in no group", mend=mend)
        return None
    spec = scope.group(source.group, scope.draft)
    if spec is None:
        return None
    known = next((one for one in spec.features if one.name == name), None)
    if known is None:
        has = ", ".join(one.name for one in spec.features)
        mend = f"use one of {has}, or add it to {spec.name}.{source.name}"
        scope.draft.mistake(feature.place, f"{spec.name} has no feature {name}", mend=mend)
        return None
    return Typed(FeatureRef(spec.name, name), known.dtype)


def _operation(operation: Operation[object], scope: Scope) -> Typed | None:
    operands = [checked(operand, operation.place, scope) for operand in operation.operands]
    whole = [operand for operand in operands if operand is not None]
    if len(whole) < len(operands) or operation.name not in get_args(OpName):
        return None
    name: OpName = operation.name  # type: ignore[assignment]  # looked up above
    dtype = result(name, [operand.dtype for operand in whole])
    if dtype is None:
        kinds = " and ".join(operand.dtype for operand in whole)
        mend = "arithmetic and order take numbers, `& | ~` conditions, `==` and fill two of one kind, codes text"
        scope.draft.mistake(operation.place, f"{scope.what}: `{name}` of {kinds}", mend=mend)
        return None
    wrong = fault(name, operation.operands[1:])
    if wrong is not None:
        scope.draft.mistake(operation.place, f"{scope.what}: {wrong[0]}", mend=wrong[1])
        return None
    op = Op(name, tuple(operand.expr for operand in whole))
    _is_seen(op, operation.place, scope)
    return Typed(op, dtype)


def _is_seen(op: Op, place: Place, scope: Scope) -> None:
    """Note a mistake where a text is compared with a field of which only the hash is kept."""
    spec = event_spec(scope.event, scope.draft)
    personal = {one.name for one in spec.fields if one.pii} if spec else set()
    hidden = [one.name for one in op.operands if isinstance(one, FieldRef) and one.name in personal]
    texts = [one.value for one in op.operands if isinstance(one, Const)]
    if op.name in ("eq", "ne", "category") and hidden and texts:
        mend = 'use hash_bucket(1024), or take pii="hash" away'
        what = f"{scope.what}: only the hash of {hidden[0]} is kept, which is never {texts[0]!r}"
        scope.draft.mistake(place, what, mend=mend)
