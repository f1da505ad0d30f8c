"""Where long computations run: at once, or in a thread beside the event loop."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")
_SWITCH_SECONDS = 0.001
"""How long the loop waits at most for a computation to let it go on: an answer takes several turns of it."""


class Compute(Protocol):
    """Runs computations, one after another."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what `work` returns, which waits for nothing and touches nothing that the loop may change."""
        ...


async def at_once(work: Callable[[], T], /) -> T:
    """Compute in the loop, which stands still meanwhile."""
    return work()


class ComputeThread:
    """A thread for computations, so that the loop takes the answers that come meanwhile.

    One core gains by it too: a send to Kafka is ten turns of the loop, and none of them waits for a computation to end.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute")
        self._switch_seconds = sys.getswitchinterval()

    def __enter__(self) -> "ComputeThread":
        sys.setswitchinterval(_SWITCH_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()
        sys.setswitchinterval(self._switch_seconds)

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Compute in the thread. What is computed when its caller is cancelled is computed to its end, for nobody."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
