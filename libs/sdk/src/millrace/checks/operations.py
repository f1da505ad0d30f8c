"""Operations: of what kinds each is, what kind it comes to, and which constants a transform takes."""

import math
from collections.abc import Callable, Mapping, Sequence

from millrace.expressions import Operand
from millrace.spec import Dtype, OpName, Scalar

NUMBERS = ("int", "float")
CODES_MAX = 1 << 24
"""Whole numbers up to this are exact in the 32-bit floats that a model is given."""

Fault = tuple[str, str]
"""What is wrong with an operation's constants, and the mend."""


def result(name: OpName, dtypes: Sequence[Dtype]) -> Dtype | None:
    """Return the type of what an operation comes to; None where it does not take operands of these types."""
    numeric = all(dtype in NUMBERS for dtype in dtypes)
    if name in FIXED:
        takes, gives = FIXED[name]
        taken = numeric if takes == "number" else takes == "any" or set(dtypes[:1]) == {takes}
        return gives if taken else None
    alike = numeric or (len(set(dtypes)) == 1 and dtypes[0] in ("str", "bool"))
    if name == "fill" and alike:
        return "int" if set(dtypes) == {"int"} else "float" if numeric else dtypes[0]
    return "bool" if alike and name != "fill" else None


FIXED: Mapping[OpName, tuple[str, Dtype]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "neg", "log1p", "clip", "scale"), ("number", "float")),
    **dict.fromkeys(("lt", "le", "gt", "ge"), ("number", "bool")),
    **dict.fromkeys(("and", "or", "not"), ("bool", "bool")),
    "is_missing": ("any", "bool"),
    "bucketise": ("number", "int"),
    "hash_bucket": ("str", "int"),
    "category": ("str", "int"),
}
"""Operations whose operands are all of one kind, and what they give."""


def fault(name: OpName, constants: Sequence[Operand]) -> Fault | None:
    """Return what is wrong with the constants after a transform's operand; None where they are right."""
    if name not in TAKES:
        return None
    plain = [value for value in constants if isinstance(value, str | int | float) and not isinstance(value, bool)]
    right, mend = TAKES[name]
    if len(plain) == len(constants) and right(plain):
        return None
    shown = ", ".join(repr(one) if isinstance(one, Scalar) else type(one).__name__ for one in constants)
    return f"{name}({shown})", mend


def _clip(constants: Sequence[Scalar]) -> bool:
    numbers = _finite(constants)
    return numbers is not None and numbers[0] <= numbers[1]


def _scale(constants: Sequence[Scalar]) -> bool:
    numbers = _finite(constants)
    return numbers is not None and numbers[1] > 0


def _bucketise(constants: Sequence[Scalar]) -> bool:
    edges = _finite(constants)
    return bool(edges) and edges == sorted(set(edges or ()))


def _hash_bucket(constants: Sequence[Scalar]) -> bool:
    return isinstance(constants[0], int) and 2 <= constants[0] <= CODES_MAX


def _category(constants: Sequence[Scalar]) -> bool:
    texts = all(isinstance(value, str) for value in constants)
    return texts and 1 <= len(constants) < CODES_MAX and len(set(constants)) == len(constants)


def _finite(constants: Sequence[Scalar]) -> list[float] | None:
    numbers = [float(value) for value in constants if isinstance(value, int | float)]
    return numbers if len(numbers) == len(constants) and all(map(math.isfinite, numbers)) else None


TAKES: Mapping[OpName, tuple[Callable[[Sequence[Scalar]], bool], str]] = {
    "clip": (_clip, "give two numbers, the lower first: clip(0, 1000)"),
    "scale": (_scale, "give the mean and a standard deviation above 0: scale(40.0, 12.5)"),
    "bucketise": (_bucketise, "give edges as numbers that rise: bucketise(10, 100, 1000)"),
    "hash_bucket": (_hash_bucket, f"give a number of buckets between 2 and {CODES_MAX}: hash_bucket(1024)"),
    "category": (_category, 'give different texts: category("card", "cash")'),
}
"""Whether a transform's constants are right, and how to write it."""
