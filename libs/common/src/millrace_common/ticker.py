"""Ticks by the clock: called when due, their outcomes settled, one at a time."""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from millrace_common.clock import Clock
from millrace_common.metrics import TICK_SECONDS
from millrace_common.service import Ticking
from millrace_common.settle import Settler


async def tick(service: str, ticks: Sequence[Ticking], *, clock: Clock, settler: Settler, turn: asyncio.Lock) -> None:
    """Fire the ticks until cancelled. One that was missed, the process being busy, is not made up for."""
    due = {ticking.name: clock.now_us() + ticking.every_us for ticking in ticks}
    while due:
        await asyncio.sleep(max(0, min(due.values()) - clock.now_us()) / 1_000_000)
        for ticking in ticks:
            now_us = clock.now_us()
            if due[ticking.name] > now_us:
                continue
            due[ticking.name] = now_us + ticking.every_us
            started = perf_counter()
            async with turn:
                await settler.settle(await ticking.handler(now_us))
            TICK_SECONDS.labels(service, ticking.name).observe(perf_counter() - started)
