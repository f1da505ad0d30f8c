"""A view as JSON and back, so that a run and its record carry the very definition that they learn from."""

from collections.abc import Mapping
from typing import Any, cast, get_args

from millrace.spec import ColumnSpec, Const, Dtype, Expr, FeatureRef, FieldRef, Op, ViewSpec

Json = dict[str, Any]  # JSON: the values are whatever JSON holds


def view_json(view: ViewSpec) -> Json:
    """Return a view as JSON values."""
    columns = [
        {"name": column.name, "dtype": column.dtype, "group": column.group, "expr": expr_json(column.expr)}
        for column in view.columns
    ]
    return {
        "name": view.name,
        "event": view.event,
        "columns": columns,
        "groups": dict(sorted(view.groups.items())),
        "hash": view.hash,
    }


def view_of(data: Mapping[str, Any]) -> ViewSpec:
    """Return the view that `view_json` wrote."""
    columns = tuple(
        ColumnSpec(column["name"], column["dtype"], expr_of(column["expr"]), column["group"])
        for column in data["columns"]
    )
    return ViewSpec(data["name"], data["event"], columns, dict(data["groups"]), data["hash"])


def expr_json(expr: Expr) -> Json:
    """Return an expression as JSON values.

    >>> expr_json(Op("neg", (Const(1),)))
    {'op': 'neg', 'operands': [{'const': 1}]}
    """
    match expr:
        case FieldRef(event, name, dtype):
            return {"event": event, "field": name, "dtype": dtype}
        case FeatureRef(group, name):
            return {"group": group, "feature": name}
        case Const(value):
            return {"const": value}
        case Op(name, operands):
            return {"op": name, "operands": [expr_json(operand) for operand in operands]}


def expr_of(data: Mapping[str, Any]) -> Expr:
    """Return the expression that `expr_json` wrote; raises ValueError for any other JSON."""
    match data:
        case {"event": event, "field": name, "dtype": dtype} if dtype in get_args(Dtype):
            return FieldRef(event, name, cast(Dtype, dtype))
        case {"group": group, "feature": name}:
            return FeatureRef(group, name)
        case {"const": value}:
            return Const(value)
        case {"op": name, "operands": operands}:
            return Op(name, tuple(expr_of(operand) for operand in operands))
    raise ValueError(f"not an expression: {data!r}")
