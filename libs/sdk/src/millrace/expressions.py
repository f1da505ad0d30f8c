"""Expressions on fields and features: objects that remember what was written, never lambdas."""

from typing import Any, Generic, TypeVar, overload

from millrace.places import Place, here
from millrace.spec import Scalar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Expression(Generic[T_co]):
    """A value that each event has: a field, a feature, or what is computed from them.

    Numbers have `+ - * /` and `== != < <= > >=`, text `==` and `!=`, conditions `& | ~`. Whatever is computed from
    something missing is missing; `fill` says what to take instead. Division by zero is missing. Numbers are 64-bit
    floats, in comparisons too.
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

    def is_missing(self) -> "Expression[bool]":
        """Return whether there is no value; this is never missing."""
        return Operation("is_missing", self)

    def log1p(self: "Number") -> "Expression[float]":
        """Return the natural logarithm of 1 + this, which keeps 0 at 0; missing from -1 down."""
        return Operation("log1p", self)

    def clip(self: "Number", low: float, high: float) -> "Expression[float]":
        """Return this, but no less than `low` and no more than `high`."""
        return Operation("clip", self, low, high)

    def scale(self: "Number", mean: float, std: float) -> "Expression[float]":
        """Return how many `std` this lies above `mean`."""
        return Operation("scale", self, mean, std)

    def bucketise(self: "Number", *edges: float) -> "Expression[int]":
        """Return how many of the rising edges are reached: 0 below the first, an edge itself belongs to the upper."""
        return Operation("bucketise", self, *edges)

    def hash_bucket(self: "Text", n: int) -> "Expression[int]":
        """Return a text's bucket of `n`, 0 to n - 1: the same on every machine, different texts may share one."""
        return Operation("hash_bucket", self, n)

    def category(self: "Text", *values: str) -> "Expression[int]":
        """Return a text's place among `values`, from 1; any other text is 0. A value added at the end moves none."""
        return Operation("category", self, *values)

    def one_hot(self, *values: str | float | bool) -> "OneHot":
        """Return a column for each of `values`, true where this is that value: `<name>_<value>`."""
        return OneHot(self, values)

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

    def __init__(self, expression: Expression[T_co], name: str | None, place: Place | None = None) -> None:
        self.place = place or here()
        self.expression = expression
        self.name = name


class OneHot:
    """An expression as several columns of a view. Their names begin with the variable's, else with the field's."""

    def __init__(self, expression: "Expression[Any]", values: tuple[str | float | bool, ...]) -> None:
        self.expression = expression
        self.values = values
        self.conditions: tuple[Expression[bool], ...] = tuple(Operation("eq", expression, value) for value in values)
        self.place = here()


def derive(expression: Expression[T], *, name: str | None = None) -> Expression[T]:
    """Name an expression, so that a view can take it. The name is the variable's that it is assigned to, or `name`."""
    return Derived(expression, name)
