"""Expressions on fields and features: objects that remember what was written, never lambdas."""

from typing import Generic, TypeVar, overload

from millrace.places import here
from millrace.spec import Scalar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Expression(Generic[T_co]):
    """A value that each event has: a field, a feature, or what is computed from them.

    Numbers have `+ - * /` and `== != < <= > >=`, text `==` and `!=`, conditions `& | ~`. Whatever is computed from
    something missing is missing; `fill` says what to take instead. Division by zero is missing.
    """

    def __init__(self) -> None:
        self.place = here()

    def __add__(self: "Number", other: "float | Number") -> "Expression[float]":
        return Operation("add", self, other)

    def __radd__(self: "Number", other: float) -> "Expression[float]":
        return Operation("add", other, self)

    def __sub__(self: "Number", other: "float | Number") -> "Expression[float]":
        return Operation("sub", self, other)

    def __rsub__(self: "Number", other: float) -> "Expression[float]":
        return Operation("sub", other, self)

    def __mul__(self: "Number", other: "float | Number") -> "Expression[float]":
        return Operation("mul", self, other)

    def __rmul__(self: "Number", other: float) -> "Expression[float]":
        return Operation("mul", other, self)

    def __truediv__(self: "Number", other: "float | Number") -> "Expression[float]":
        return Operation("div", self, other)

    def __rtruediv__(self: "Number", other: float) -> "Expression[float]":
        return Operation("div", other, self)

    def __neg__(self: "Number") -> "Expression[float]":
        return Operation("neg", self)

    def __lt__(self: "Number", other: "float | Number") -> "Expression[bool]":
        return Operation("lt", self, other)

    def __le__(self: "Number", other: "float | Number") -> "Expression[bool]":
        return Operation("le", self, other)

    def __gt__(self: "Number", other: "float | Number") -> "Expression[bool]":
        return Operation("gt", self, other)

    def __ge__(self: "Number", other: "float | Number") -> "Expression[bool]":
        return Operation("ge", self, other)

    @overload  # type: ignore[override]  # a comparison is an expression here, not a bool
    def __eq__(self: "Number", other: "float | Number") -> "Expression[bool]": ...
    @overload
    def __eq__(self: "Text", other: "str | Text") -> "Expression[bool]": ...
    def __eq__(self, other: "Operand") -> "Expression[bool]":
        return Operation("eq", self, other)

    @overload  # type: ignore[override]  # as above
    def __ne__(self: "Number", other: "float | Number") -> "Expression[bool]": ...
    @overload
    def __ne__(self: "Text", other: "str | Text") -> "Expression[bool]": ...
    def __ne__(self, other: "Operand") -> "Expression[bool]":
        return Operation("ne", self, other)

    def __and__(self: "Condition", other: "Condition") -> "Expression[bool]":
        return Operation("and", self, other)

    def __or__(self: "Condition", other: "Condition") -> "Expression[bool]":
        return Operation("or", self, other)

    def __invert__(self: "Condition") -> "Expression[bool]":
        return Operation("not", self)

    @overload
    def fill(self: "Number", instead: "float | Number") -> "Expression[float]": ...  # type: ignore[overload-overlap]  # only what is always missing is both
    @overload
    def fill(self: "Text", instead: "str | Text") -> "Expression[str]": ...
    def fill(self, instead: "Operand") -> "Expression[float] | Expression[str]":
        """Return this value, and `instead` where it is missing."""
        return Operation("fill", self, instead)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth value yet: write `&`, `|`, `~` for and, or, not; no `if`, no chains"
        )


Number = Expression[float | None]
Text = Expression[str | None]
Condition = Expression[bool | None]
AnyExpression = Expression[object]
Operand = Scalar | AnyExpression


class Operation(Expression[T_co]):
    """An operation on expressions and constants, by its name in `millrace.spec.Op`."""

    def __init__(self, name: str, *operands: Operand) -> None:
        super().__init__()
        self.name = name
        self.operands = operands


class Derived(Expression[T_co]):
    """An expression that a view takes as a column of its own."""

    def __init__(self, expression: Expression[T_co], name: str | None) -> None:
        super().__init__()
        self.expression = expression
        self.name = name


def derive(expression: Expression[T], *, name: str | None = None) -> Expression[T]:
    """Name an expression, so that a view can take it. The name is the variable's that it is assigned to, or `name`."""
    return Derived(expression, name)
