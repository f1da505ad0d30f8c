"""Coroutines that live and die together."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first error or a cancellation; then cancel the rest, await them, raise the first error."""
    if len(coroutines) == 1:  # there is nobody to cancel for it
        await coroutines[0]
        return
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            if not task.cancelling():  # a second cancellation would cut its cleaning up short
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def within(seconds_max: float, closing: Coroutine[Any, Any, None]) -> None:
    """Give a library that long to close something; past it, or where it fails, say so and go on.

    A task of its own, because libraries swallow the cancellation that a timeout is made of.
    """
    task = asyncio.create_task(closing)
    done, _ = await asyncio.wait([task], timeout=seconds_max)
    if not done:
        task.cancel()
        log.warning("close_timed_out", what=repr(closing), seconds_max=seconds_max)
    elif task.cancelled():
        log.warning("close_cancelled", what=repr(closing))
    elif task.exception() is not None:
        log.warning("close_failed", what=repr(closing), error=repr(task.exception()))
