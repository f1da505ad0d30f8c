"""The two approximate aggregates, slowly: HyperLogLog beyond 64 values, and quantiles by relative error."""

import functools
import math
import struct
from collections import Counter
from collections.abc import Iterable

_MASK = (1 << 64) - 1
EXACT_MAX = 64
PLACE_BITS = 9
REGISTERS = 1 << PLACE_BITS
REST_BITS = 64 - PLACE_BITS
BUCKETS_MAX = 128
GAMMA = 1.01 / 0.99


@functools.cache
def hashed(value: float) -> int:
    """Return 64 bits for a value: the finaliser of splitmix64 on its bits."""
    z: int = struct.unpack("<Q", struct.pack("<d", value + 0.0))[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def estimated(hashes: set[int]) -> float:
    """Return how many hashes there are: exactly up to 64, beyond that as 512 registers would have it."""
    if len(hashes) <= EXACT_MAX:
        return float(len(hashes))
    registers = [0] * REGISTERS
    for z in hashes:
        rest = f"{z & ((1 << REST_BITS) - 1):0{REST_BITS}b}"
        rank = len(rest) - len(rest.lstrip("0")) + 1
        registers[z >> REST_BITS] = max(registers[z >> REST_BITS], rank)
    total = 0.0
    for register in registers:
        total += 2.0**-register
    estimate = 0.7213 / (1 + 1.079 / REGISTERS) * REGISTERS * REGISTERS / total
    if estimate <= 2.5 * REGISTERS and 0 in registers:
        estimate = REGISTERS * math.log(REGISTERS / registers.count(0))
    return float(math.floor(estimate + 0.5))


def rank_of(q: float, n: int) -> int:
    """Return the smallest rank, from 1, that is not below q * n."""
    k = 1
    while k < q * n:
        k += 1
    return k


@functools.cache
def bucket(value: float) -> tuple[int, int]:
    """Return a value's sign and the bucket of its magnitude before any collapse; zero is (0, 0)."""
    if value == 0:
        return 0, 0
    return (1 if value > 0 else -1), math.ceil(math.log(abs(value)) / math.log(GAMMA))


def sketched(buckets: Counter[tuple[int, int]], q: float) -> float:
    """Return a quantile of what the buckets hold, collapsed until at most 128 (zero apart) are left."""
    gamma = GAMMA
    while sum(1 for sign, _ in buckets if sign) > BUCKETS_MAX:
        gamma *= gamma
        buckets = _added(((sign, (i + 1) // 2 if sign else 0), n) for (sign, i), n in buckets.items())
    left = rank_of(q, sum(buckets.values()))
    for sign, i in sorted(buckets, key=lambda at: (at[0], at[0] * at[1])):
        left -= buckets[sign, i]
        if left <= 0:
            return sign * _middle(gamma, i) if sign else 0.0
    raise AssertionError("no bucket holds this rank")


def _added(counts: Iterable[tuple[tuple[int, int], int]]) -> Counter[tuple[int, int]]:
    total: Counter[tuple[int, int]] = Counter()
    for at, n in counts:
        total[at] += n
    return total


def _middle(gamma: float, i: int) -> float:
    try:
        return 2 * math.pow(gamma, float(i)) / (gamma + 1)
    except OverflowError:
        return math.inf
