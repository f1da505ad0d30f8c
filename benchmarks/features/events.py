"""The load: card payments as JSON of one width, made by whole columns, and the partition of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
DAY_MS = 86_400_000
ZIPF = 1.1
MERCHANTS = 5_000
CHUNK = 50_000
TEMPLATE = (
    b'{"type":"transaction","txn_id":"t000000000000","card":"c0000000","merchant":"m0000","amount":000.00,'
    b'"country":"NL","currency":"EUR","terminal":"pos-0000","ts":0000000000000}'
)
KEY = b"c0000000"
_KEY_DIGITS = slice(1, 8)
_M, _SEED = np.uint32(0x5BD1E995), np.uint32(0x9747B28C)

Skew = Literal["zipf", "uniform", "each"]
Bytes = NDArray[np.uint8]
Draw = Callable[[np.random.Generator, NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Workload:
    """So many events of so many cards, their event times evenly over `span_ms`. The same seed gives the same bytes.

    `skew`: cards drawn by Zipf's law, evenly, or each in its turn. `first` and `first_card` number the first of each.
    """

    name: str
    cards: int
    events: int
    skew: Skew = "zipf"
    span_ms: int = DAY_MS
    start_ms: int = START_MS
    first: int = 0
    first_card: int = 0
    seed: int = 4


@dataclass(frozen=True, slots=True)
class Load:
    """Events as bytes, in log order of their partition: `partitions[i]` is where event i lies."""

    keys: list[bytes]
    values: list[bytes]
    partitions: NDArray[np.int32]


def loads(workload: Workload, partitions: int) -> Iterator[Load]:
    """Yield the events of a workload, a bounded number at a time."""
    rng = np.random.default_rng(workload.seed)
    draw = _drawing(workload)
    for start in range(0, workload.events, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, workload.events))
        cards = draw(rng, numbers) + workload.first_card
        keys = _tiled(KEY, len(numbers))
        _digits(keys[:, _KEY_DIGITS], cards)
        values = _values(workload, rng, numbers, keys)
        yield Load(_texts(keys), _texts(values), partitions_of(keys, partitions))


def partitions_of(keys: Bytes, partitions: int) -> NDArray[np.int32]:
    """Return the partition of each key, all of one width that is a multiple of four: Kafka's murmur2."""
    words = np.ascontiguousarray(keys).view("<u4")
    with np.errstate(over="ignore"):
        value = np.full(len(keys), _SEED ^ np.uint32(keys.shape[1]), dtype=np.uint32)
        for column in words.T:
            k = column * _M
            k = (k ^ (k >> np.uint32(24))) * _M
            value = (value * _M) ^ k
        value = (value ^ (value >> np.uint32(13))) * _M
    value ^= value >> np.uint32(15)
    return ((value & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)


def _drawing(workload: Workload) -> Draw:
    """Return what says which card each event is of."""
    if workload.skew == "zipf":
        weights = np.arange(1, workload.cards + 1, dtype=np.float64) ** -ZIPF
        shares = np.cumsum(weights) / weights.sum()
        return lambda rng, numbers: np.minimum(np.searchsorted(shares, rng.random(len(numbers))), workload.cards - 1)
    if workload.skew == "uniform":
        return lambda rng, numbers: rng.integers(0, workload.cards, len(numbers))
    return lambda _, numbers: numbers % workload.cards


def _values(workload: Workload, rng: np.random.Generator, numbers: NDArray[np.int64], keys: Bytes) -> Bytes:
    values = _tiled(TEMPLATE, len(numbers))
    cents = rng.integers(10_000, 100_000, len(numbers))
    merchants = rng.integers(0, MERCHANTS, len(numbers))
    _put(values, b"t000000000000", 1, numbers + workload.first, 12)
    values[:, _at(b"c0000000")[0] : _at(b"c0000000")[0] + 8] = keys
    _put(values, b"m0000", 1, merchants, 4)
    _put(values, b"000.00", 0, cents // 100, 3)
    _put(values, b"000.00", 4, cents % 100, 2)
    _put(values, b"pos-0000", 4, merchants, 4)
    _put(values, b"0000000000000}", 0, workload.start_ms + numbers * workload.span_ms // workload.events, 13)
    return values


def _at(text: bytes) -> tuple[int, int]:
    first = TEMPLATE.index(b'"' + text) + 1 if b'"' + text in TEMPLATE else TEMPLATE.index(b":" + text) + 1
    return first, first + len(text)


def _put(values: Bytes, text: bytes, skip: int, numbers: NDArray[np.int64], width: int) -> None:
    first = _at(text)[0] + skip
    _digits(values[:, first : first + width], numbers)


def _digits(into: Bytes, numbers: NDArray[np.int64]) -> None:
    """Write numbers in decimal, zeros in front, into columns of characters."""
    for place in range(into.shape[1] - 1, -1, -1):
        into[:, place] = numbers % 10 + ord("0")
        numbers = numbers // 10


def _tiled(text: bytes, count: int) -> Bytes:
    return np.tile(np.frombuffer(text, dtype=np.uint8), (count, 1))


def _texts(rows: Bytes) -> list[bytes]:
    texts: list[bytes] = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").ravel().tolist()
    return texts
