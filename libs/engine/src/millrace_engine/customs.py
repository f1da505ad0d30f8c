"""A team's own aggregates as machine code: each verb an address that the kernels call on the cells of a partial.

An address is a number, so a kernel that calls one is compiled once and cached, whatever a team's class is. The verbs
are those of `millrace.CustomAggregate`; a division by zero gives infinity or NaN here, so a missing value, no error.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it ships no types
from numba import types
from numba.extending import intrinsic as typed_intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from millrace.custom import CustomAggregate, import_path, resolve
from millrace_engine.jit import bare

Reals = NDArray[np.float64]
Verb = Callable[..., Any]
CELLS = types.CPointer(types.float64)  # type: ignore[no-untyped-call]  # numba has no types
PLACE = types.int64
"""An address, of a verb or of a cell."""
intrinsic: Callable[[Verb], Verb] = typed_intrinsic
"""A function that is given types and says how to generate its call, which has one argument fewer."""


class NotCompiled(ValueError):
    """A verb of a team's own aggregate is no machine code. `reason` is the compiler's, `line` that of the file."""

    def __init__(self, aggregate: type[CustomAggregate], verb: str, told: str) -> None:
        lines = told.partition('\n\nFile "')[0].strip().splitlines()
        place = re.search(r'File ".*", line (\d+)', told)
        self.aggregate = aggregate
        self.verb = verb
        self.reason = lines[-1] if lines else told
        self.line = int(place[1]) if place else 0
        super().__init__(f"{import_path(aggregate)}.{verb} is no machine code: {self.reason} (line {self.line})")


@dataclass(frozen=True, slots=True)
class Custom:
    """A compiled aggregate: how many cells a partial takes, and the address of each verb, valid while this lives."""

    cells: int
    prepare: int
    update: int
    merge: int
    finalize: int
    code: tuple[object, ...] = field(repr=False)


def compile_custom(path: str) -> Custom:
    """Compile the class that an import path names, once in a process.

    Raises NotCompiled saying which verb is no machine code, and ImportError, AttributeError or TypeError where there is
    no such class.
    """
    return _compiled(resolve(path))


@functools.cache
def _compiled(aggregate: type[CustomAggregate]) -> Custom:
    code = {name: _verb(aggregate, name) for name in WRAPPED}
    addresses = {name: verb.address for name, verb in code.items()}
    return Custom(aggregate.cells, **addresses, code=tuple(code.values()))


def _verb(aggregate: type[CustomAggregate], name: str) -> Any:  # numba has no types
    signature, wrapped = WRAPPED[name]
    verb = numba.njit(error_model="numpy")(getattr(aggregate, name))
    try:
        verb.compile(tuple(OPERANDS.get(kind, kind) for kind in signature.args))
        return numba.cfunc(signature)(wrapped(verb, aggregate.cells))
    except numba.core.errors.NumbaError as error:
        raise NotCompiled(aggregate, name, str(error)) from error


def _of_cells(verb: Verb, cells: int) -> Verb:
    return lambda partial: verb(carray(partial, (cells,)))


def _of_value(verb: Verb, cells: int) -> Verb:
    return lambda partial, value: verb(carray(partial, (cells,)), value)


def _of_other(verb: Verb, cells: int) -> Verb:
    return lambda partial, other: verb(carray(partial, (cells,)), carray(other, (cells,)))


OPERANDS = {CELLS: types.float64[::1]}
"""What a verb is given for what machine code is given."""
WRAPPED: Mapping[str, tuple[Any, Callable[[Verb, int], Verb]]] = {
    "prepare": (types.void(CELLS), _of_cells),
    "update": (types.void(CELLS, types.float64), _of_value),
    "merge": (types.void(CELLS, CELLS), _of_other),
    "finalize": (types.float64(CELLS), _of_cells),
}
"""What each verb takes in machine code, and how its arrays are made of that."""


# --- what kernels call -----------------------------------------------------------------------------------------------
@bare
def custom_prepare(address: int, reals: Reals, at: int) -> None:
    """Make the partial at a cell one that holds nothing."""
    _call_cells(address, reals.ctypes.data + 8 * at)


@bare
def custom_update(address: int, reals: Reals, at: int, value: float) -> None:
    """Enter one value into the partial at a cell."""
    _call_value(address, reals.ctypes.data + 8 * at, value)


@bare
def custom_merge(address: int, reals: Reals, at: int, others: Reals, other: int) -> None:
    """Enter all that another partial holds."""
    _call_other(address, reals.ctypes.data + 8 * at, others.ctypes.data + 8 * other)


@bare
def custom_finalize(address: int, reals: Reals, at: int) -> float:
    """Return what the partial at a cell comes to."""
    return float(_call_result(address, reals.ctypes.data + 8 * at))


def _calling(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    """Generate the call of what lies at an address; of the operands, integers are addresses of cells."""
    real = ir.DoubleType()
    operands = [
        builder.inttoptr(value, real.as_pointer()) if kind == PLACE else value
        for kind, value in zip(signature.args[1:], given[1:], strict=True)
    ]
    returned = real if signature.return_type == types.float64 else ir.VoidType()
    shape = ir.FunctionType(returned, [operand.type for operand in operands])
    result = builder.call(builder.inttoptr(given[0], shape.as_pointer()), operands)
    return result if returned is real else context.get_dummy_value()


@intrinsic
def _call_cells(_context: Any, _address: Any, _cells: Any) -> Any:
    return types.void(PLACE, PLACE), _calling


@intrinsic
def _call_value(_context: Any, _address: Any, _cells: Any, _value: Any) -> Any:
    return types.void(PLACE, PLACE, types.float64), _calling


@intrinsic
def _call_other(_context: Any, _address: Any, _cells: Any, _other: Any) -> Any:
    return types.void(PLACE, PLACE, PLACE), _calling


@intrinsic
def _call_result(_context: Any, _address: Any, _cells: Any) -> Any:
    return types.float64(PLACE, PLACE), _calling
