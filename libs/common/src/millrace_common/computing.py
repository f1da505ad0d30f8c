"""Where long computations run: at once, or in a thread beside the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")


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

    def __enter__(self) -> "ComputeThread":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Compute in the thread. What is computed when its caller is cancelled is computed to its end, for nobody."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
