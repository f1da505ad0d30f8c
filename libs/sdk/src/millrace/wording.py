"""Expressions as their author would write them."""

from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op, OpName

SYMBOLS: dict[OpName, str] = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "and",
    "or": "or",
}
SIGNS: dict[OpName, str] = {"neg": "-", "not": "not "}


def expression_text(expr: Expr) -> str:
    """Return an expression as its author would write it.

    >>> amount = FieldRef("sale", "amount", "float")
    >>> expression_text(Op("gt", (Op("fill", (amount, Const(0))), Const(500))))
    'amount.fill(0) > 500'
    """
    match expr:
        case Const(value):
            return repr(value)
        case FieldRef(name=name):
            return name
        case FeatureRef(group, name):
            return f"{group}.{name}"
        case Op(name, (first, second)) if name in SYMBOLS:
            return f"{_operand(first)} {SYMBOLS[name]} {_operand(second)}"
        case Op(name, (operand,)) if name in SIGNS:
            return f"{SIGNS[name]}{_operand(operand)}"
        case Op(name, (first, *rest)):
            return f"{_operand(first)}.{name}({', '.join(map(expression_text, rest))})"
    raise ValueError(f"an operation without operands: {expr}")


def _operand(expr: Expr) -> str:
    text = expression_text(expr)
    return f"({text})" if isinstance(expr, Op) and (expr.name in SYMBOLS or expr.name in SIGNS) else text
