"""Two sketches of fixed size: how many different values there are, and where their quantiles lie.

`distinct`: up to 64 exact hashes; beyond that HyperLogLog with 512 registers (Flajolet et al. 2007), and linear
counting while it estimates less than 2.5 times as many: standard error 1.04 / sqrt(512) = 4.6 %.
`quantile`: buckets whose bounds grow by a constant factor (DDSketch, Masson et al. 2019), relative error 1 %. Where
more than 128 are in use, neighbours are joined in pairs (UDDSketch, Epicoco et al. 2020): about twice the error.
"""

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from millrace_engine.jit import bare, kernel

HASHES_MAX = 64
_REGISTERS = 512
_SHIFT = np.uint64(64 - 9)
_ALPHA = 0.7213 / (1.0 + 1.079 / _REGISTERS)
DISTINCT_CELLS = 1 + HASHES_MAX
DENSE = -1

BUCKETS_MAX = 128
ERROR = 0.01
_GAMMA = (1.0 + ERROR) / (1.0 - ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_BIAS = 1 << 20
QUANTILE_CELLS = 2 + BUCKETS_MAX + 1
"""The bucket of zero is not counted among the 128."""
LEVEL_MAX = 16
"""How often neighbours were joined at most: after eleven times, all that a 64-bit float can be fits."""


T = TypeVar("T", np.int64, np.float64)


class Cells(NamedTuple):
    """The same memory twice: 8-byte cells as integers and as floats."""

    ints: NDArray[np.int64]
    reals: NDArray[np.float64]


def cells_of(ints: NDArray[np.int64]) -> Cells:
    """Return an array of cells under both its faces."""
    return Cells(ints, ints.view(np.float64))


@bare
def lay(values: NDArray[T], into: NDArray[T]) -> None:
    """Write values to the first cells of others, which do not overlap them."""
    for i in range(len(values)):
        into[i] = values[i]


@kernel
def cells_like(n: int) -> Cells:
    """Return n cells, all 0."""
    ints = np.zeros(n, dtype=np.int64)
    return Cells(ints, ints.view(np.float64))


# --- distinct: [n of hashes or DENSE, hashes | registers] ------------------------------------------------------------
@bare
def hashed(value: float) -> int:
    """Return 64 well-mixed bits of a number: the finaliser of splitmix64."""
    bits = np.float64(value + 0.0).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(bits ^ (bits >> np.uint64(31)))  # type: ignore[return-value]  # a number to numba


@kernel
def distinct_add(ints: NDArray[np.int64], at: int, hash_: int) -> None:
    """Add a hash to the set at `at`."""
    n = ints[at]
    if n == DENSE:
        _raise_register(ints, at, hash_)
        return
    for i in range(at + 1, at + 1 + n):
        if ints[i] == hash_:
            return
    if n < HASHES_MAX:
        ints[at + 1 + n] = hash_
        ints[at] = n + 1
        return
    hashes = ints[at + 1 : at + 1 + n].copy()
    ints[at] = DENSE
    ints[at + 1 : at + 1 + HASHES_MAX] = 0
    for known in hashes:
        _raise_register(ints, at, known)
    _raise_register(ints, at, hash_)


@bare
def _raise_register(ints: NDArray[np.int64], at: int, hash_: int) -> None:
    bits = np.uint64(hash_)
    register = np.int64(bits >> _SHIFT)
    rest = bits << np.uint64(9)
    rank = 1
    while rank <= 55 and (rest >> np.uint64(63)) == np.uint64(0):
        rest = rest << np.uint64(1)
        rank += 1
    cell, shift = at + 1 + register // 8, (register % 8) * 8
    held = (ints[cell] >> shift) & 0xFF
    if rank > held:
        ints[cell] += (rank - held) << shift


@kernel
def distinct_merge(ints: NDArray[np.int64], at: int, others: NDArray[np.int64], other: int) -> None:
    """Add all that the set `others[other:]` holds to the set at `at`."""
    n = others[other]
    if n != DENSE:
        for i in range(other + 1, other + 1 + n):
            distinct_add(ints, at, others[i])
        return
    if ints[at] != DENSE:
        hashes = ints[at + 1 : at + 1 + ints[at]].copy()
        ints[at] = DENSE
        ints[at + 1 : at + 1 + HASHES_MAX] = 0
        for known in hashes:
            _raise_register(ints, at, known)
    for i in range(1, 1 + HASHES_MAX):
        ints[at + i] = _greater_bytes(ints[at + i], others[other + i])


@bare
def distinct_is_sound(ints: NDArray[np.int64], at: int) -> bool:
    """Say whether the set at `at` is no larger than its cells."""
    return ints[at] == DENSE or 0 <= ints[at] <= HASHES_MAX


@bare
def _greater_bytes(left: int, right: int) -> int:
    result = 0
    for shift in range(0, 64, 8):
        result += max((left >> shift) & 0xFF, (right >> shift) & 0xFF) << shift
    return result


@bare
def distinct_size(ints: NDArray[np.int64], at: int) -> float:
    """Return how many different values the set at `at` holds: exact up to 64, else the estimate, rounded."""
    n = ints[at]
    if n != DENSE:
        return float(n)
    total, zeros = 0.0, 0
    for register in range(_REGISTERS):
        rank = (ints[at + 1 + register // 8] >> ((register % 8) * 8)) & 0xFF
        total += 2.0**-rank
        zeros += rank == 0
    estimate = _ALPHA * _REGISTERS * _REGISTERS / total
    if estimate <= 2.5 * _REGISTERS and zeros > 0:
        estimate = _REGISTERS * math.log(_REGISTERS / zeros)
    return math.floor(estimate + 0.5)


# --- quantile: [level, n of buckets, (key << 32 | count) in ascending order] ------------------------------------------
@bare
def _key(value: float, level: int) -> int:
    """Return the bucket of a value: 0 for zero, and further from 0 the larger its magnitude, with its sign."""
    if value == 0.0:
        return 0
    index = math.ceil(math.log(abs(value)) / _LOG_GAMMA)
    for _ in range(level):
        index = (index + 1) // 2
    return (index + _BIAS) if value > 0.0 else -(index + _BIAS)


@bare
def _coarser(key: int) -> int:
    """Return the bucket that a bucket becomes part of when neighbours are joined."""
    if key == 0:
        return 0
    index = (abs(key) - _BIAS + 1) // 2 + _BIAS
    return index if key > 0 else -index


@bare
def quantile_add(ints: NDArray[np.int64], at: int, value: float) -> None:
    """Count a value in the sketch at `at`."""
    _count(ints, at, _key(value, ints[at]), 1)


@bare
def _count(ints: NDArray[np.int64], at: int, key: int, count: int) -> None:
    place = _place(ints, at, key)
    while not _holds(ints, at, place, key) and key != 0 and _is_full(ints, at):
        _collapse(ints, at)
        key = _coarser(key)
        place = _place(ints, at, key)
    if _holds(ints, at, place, key):
        ints[place - 1] += count
        return
    for i in range(at + 2 + ints[at + 1], place, -1):
        ints[i] = ints[i - 1]
    ints[place] = (key << 32) + count
    ints[at + 1] += 1


@bare
def _is_full(ints: NDArray[np.int64], at: int) -> bool:
    zero = _holds(ints, at, _place(ints, at, 0), 0)
    return ints[at + 1] - zero >= BUCKETS_MAX


@bare
def _place(ints: NDArray[np.int64], at: int, key: int) -> int:
    """Return the place after the last bucket that is not beyond `key`."""
    place = at + 2 + ints[at + 1]
    while place > at + 2 and (ints[place - 1] >> 32) > key:
        place -= 1
    return place


@bare
def _holds(ints: NDArray[np.int64], at: int, place: int, key: int) -> bool:
    return place > at + 2 and (ints[place - 1] >> 32) == key


@bare
def _collapse(ints: NDArray[np.int64], at: int) -> None:
    """Join neighbouring buckets in pairs."""
    n, kept = ints[at + 1], at + 1
    for i in range(at + 2, at + 2 + n):
        key, count = _coarser(ints[i] >> 32), ints[i] & 0xFFFFFFFF
        if kept > at + 1 and (ints[kept] >> 32) == key:
            ints[kept] += count
        else:
            kept += 1
            ints[kept] = (key << 32) + count
    ints[at + 1] = kept - at - 1
    ints[at] += 1


@bare
def quantile_merge(ints: NDArray[np.int64], at: int, others: NDArray[np.int64], other: int) -> None:
    """Count all that the sketch `others[other:]` holds in the sketch at `at`."""
    while ints[at] < others[other]:
        _collapse(ints, at)
    for i in range(other + 2, other + 2 + others[other + 1]):
        key = others[i] >> 32
        for _ in range(ints[at] - others[other]):
            key = _coarser(key)
        _count(ints, at, key, others[i] & 0xFFFFFFFF)


@bare
def quantile_is_sound(ints: NDArray[np.int64], at: int) -> bool:
    """Say whether the sketch at `at` is no larger than its cells, and its level one that a sketch can come to."""
    return 0 <= ints[at] <= LEVEL_MAX and 0 <= ints[at + 1] <= BUCKETS_MAX + 1


@bare
def quantile_value(ints: NDArray[np.int64], at: int, q: float) -> float:
    """Return the middle of the bucket in which the quantile lies; NaN of nothing."""
    total, n = 0, ints[at + 1]
    for i in range(at + 2, at + 2 + n):
        total += ints[i] & 0xFFFFFFFF
    if total == 0:
        return math.nan
    rank, seen, key = max(1, math.ceil(q * total)), 0, np.int64(0)
    for i in range(at + 2, at + 2 + n):
        seen += ints[i] & 0xFFFFFFFF
        key = ints[i] >> 32
        if seen >= rank:
            break
    if key == 0:
        return 0.0
    gamma = _GAMMA
    for _ in range(ints[at]):
        gamma *= gamma
    middle = 2.0 * gamma ** float(abs(key) - _BIAS) / (gamma + 1.0)
    return middle if key > 0 else -middle


@kernel
def quantile_exact(values: NDArray[np.float64], q: float) -> float:
    """Return the least of the values whose rank is at least q times their number; NaN of nothing."""
    if len(values) == 0:
        return math.nan
    rank = max(1, math.ceil(q * len(values)))
    return float(np.sort(values)[rank - 1])
