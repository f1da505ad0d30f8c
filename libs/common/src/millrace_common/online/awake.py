"""Waiting for an answer that is nearly there."""

import asyncio
from collections.abc import Awaitable
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
AWAKE_SECONDS_MAX = 200e-6
"""About three times as long as a near store takes to answer."""


class Awake:
    """Keeps the event loop from going to sleep for as long as an answer usually takes.

    A loop that sleeps in the kernel is woken some 40 microseconds after its answer came, nearly twice as long as Redis
    took to give it. Of all who wait one keeps it awake, once around after the other, so that whatever else is ready
    goes on; a loop that has other work to do would not have slept anyway.
    """

    def __init__(self, seconds_max: float = AWAKE_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._is_kept = False

    async def until(self, answer: Awaitable[T]) -> T:
        """Return what `answer` gives. One that is not asked for yet (a line opens, or it is a cluster's) may sleep."""
        if isinstance(answer, asyncio.Future) and not self._is_kept:
            self._is_kept, until = True, perf_counter() + self._seconds_max
            try:
                while not answer.done() and perf_counter() < until:  # noqa: ASYNC110  # an event would let it sleep
                    await asyncio.sleep(0)
            finally:
                self._is_kept = False
        return await answer
