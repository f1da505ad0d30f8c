"""What a reader of the online store is asked, and how long each answer took."""

import gc
import random
import time
from collections.abc import Iterator

BATCH = 100
WARM = 50


def asked(cards: list[str], count: int, size: int, seed: int) -> Iterator[list[str]]:
    """Yield lists of `size` different cards."""
    rng = random.Random(seed)
    for _ in range(count):
        yield rng.sample(cards, size)


def spare_the_collector() -> None:
    """Leave what a client holds from its start out of every collection, as a service does that runs for days."""
    gc.collect()
    gc.freeze()


def without_warming(seconds: list[float]) -> list[float]:
    """Return the times without the first ones."""
    return seconds[min(WARM, len(seconds) // 4) :]


def clock() -> float:
    """Return seconds on a clock that only goes forward."""
    return time.perf_counter()
