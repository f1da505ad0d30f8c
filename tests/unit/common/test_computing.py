"""Computations at once, and in a thread beside the loop."""

import asyncio
import sys
import threading

import pytest

from millrace_common.computing import SWITCH_SECONDS, at_once, compute_thread
from millrace_common.errors import Misconfigured


async def test_the_loop_goes_on_while_a_thread_computes() -> None:
    """What is computed waits here for something that only the loop can do meanwhile."""
    told = threading.Event()
    with compute_thread() as compute:
        computing = asyncio.ensure_future(compute(lambda: told.wait(10)))
        asyncio.get_running_loop().call_later(0.01, told.set)
        assert await computing


async def test_computations_come_one_after_another_in_one_thread() -> None:
    """The second begins when the first has ended, whoever asked."""
    order: list[tuple[str, int]] = []

    def work(name: str) -> None:
        order.append((name, threading.get_ident()))
        order.append((name, threading.get_ident()))

    with compute_thread() as compute:
        await asyncio.gather(*(compute(lambda name=name: work(name)) for name in "abc"))  # type: ignore[misc]
    assert [name for name, _ in order] == list("aabbcc")
    assert len({thread for _, thread in order}) == 1
    assert order[0][1] != threading.get_ident()


def failing() -> None:
    """Fail as a handler may."""
    raise Misconfigured("no such store")


async def test_what_a_computation_raises_is_raised_to_whom_asked() -> None:
    """Of either kind; and the thread goes on."""
    with pytest.raises(Misconfigured, match="no such store"):
        await at_once(failing)
    with compute_thread() as compute:
        with pytest.raises(Misconfigured, match="no such store"):
            await compute(failing)
        assert await compute(lambda: 7) == 7
    assert await at_once(lambda: 7) == 7


async def test_a_computation_of_somebody_who_left_is_over_before_the_thread_is() -> None:
    """A cancellation does not stop it halfway; the end of the thread waits for it."""
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.wait(10)
        ended.set()

    with compute_thread() as compute:
        computing = asyncio.ensure_future(compute(work))
        await asyncio.sleep(0)
        computing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await computing
        assert not ended.is_set()
        begun.set()
    assert ended.is_set()


async def test_threads_take_short_turns_while_there_is_one_that_computes() -> None:
    """A loop that waits for the interpreter's lock gets it soon; after that all is as it was."""
    usual_seconds = sys.getswitchinterval()
    with compute_thread():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    assert usual_seconds > SWITCH_SECONDS
    assert sys.getswitchinterval() == usual_seconds
