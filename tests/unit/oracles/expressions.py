"""What an expression on an event's fields comes to, one event at a time."""

import hashlib
import operator
from collections.abc import Callable, Mapping

from millrace.spec import Const, Expr, FieldRef, Op, Scalar

_NUMBERS: dict[str, Callable[[float, float], Scalar]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def evaluated(expr: Expr, fields: Mapping[str, Scalar]) -> Scalar:
    """Return an expression's value on an event's fields; of operations, those that the pipelines of tests use."""
    match expr:
        case Const(value):
            return value
        case FieldRef(name=name):
            return fields.get(name)
        case Op(name, (left, right)):
            one, other = evaluated(left, fields), evaluated(right, fields)
            if one is None or other is None:
                return None
            if name in ("eq", "ne"):
                return (one == other) == (name == "eq")
            return _NUMBERS[name](float(one), float(other))
        case _:
            raise AssertionError(f"the oracle does not know {expr}")


def number(value: Scalar) -> float | None:
    """Return what an aggregate sees of a value: text as 53 bits of its hash, a truth value as 0 or 1."""
    if isinstance(value, str):
        return float(int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little") >> 11)
    return None if value is None else float(value)
