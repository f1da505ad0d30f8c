"""Where long computations run: at once, or in a thread beside the event loop."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
SWITCH_SECONDS = 0.0005
"""How long a computation keeps the interpreter's lock that the loop wants: Python's 5 ms are a send's whole way."""


class Compute(Protocol):
    """Runs computations, one after another."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what `work` returns, which waits for nothing and touches nothing that the loop may change."""
        ...


async def at_once(work: Callable[[], T], /) -> T:
    """Compute in the loop, which stands still meanwhile."""
    return work()


@contextmanager
def compute_thread() -> Iterator[Compute]:
    """Yield what computes in one thread beside the loop, which takes the answers that come meanwhile.

    One core gains by it too: a send to Kafka is ten turns of the loop, and none of them waits for a computation to end.
    What is computed when its caller is cancelled is computed to its end, for nobody; the block's end waits for it.
    Meanwhile the process switches between its threads every SWITCH_SECONDS.
    """
    usual_seconds = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute") as thread:

            async def compute(work: Callable[[], T], /) -> T:
                return await asyncio.get_running_loop().run_in_executor(thread, work)

            yield compute
    finally:
        sys.setswitchinterval(usual_seconds)
