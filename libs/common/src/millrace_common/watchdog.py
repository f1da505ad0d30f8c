"""The watchdog (R10): a thread that ends a process which has something to do and does not get on with it."""

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import structlog

from millrace_common.bus.standing import Standing
from millrace_common.errors import EXIT_CRASH
from millrace_common.records import TopicPartition

log = structlog.get_logger()


def crash() -> None:
    """End the process at once, whatever its threads are doing."""
    os._exit(EXIT_CRASH)


@dataclass(slots=True)
class Watchdog:
    """Looks once a second: does the loop still turn, does each partition with lag still get on?"""

    standing: Callable[[], Standing]
    stall_seconds_max: float
    end: Callable[[], None] = crash
    look_seconds: float = 1.0
    now: Callable[[], float] = monotonic
    _turned: float = field(default_factory=monotonic)
    _seen: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    async def run(self) -> None:
        """Watch until cancelled; meanwhile show the thread that the loop turns."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.note()
        thread.start()
        try:
            while True:
                self.note()
                await asyncio.sleep(self.look_seconds)
        finally:
            self._over.set()

    def note(self) -> None:
        """Note that the loop turns, and for each partition when it last got on.

        A partition without lag, or with its followers at work, always gets on.
        """
        now, standing = self.now(), self.standing()
        self._turned = now
        busy = {at for at, followed in standing.followed.items() if followed.is_handed_over}
        self._seen = {
            at: self._seen[at]
            if at in self._seen and end > reached and self._seen[at][0] == reached and at not in busy
            else (reached, now)
            for at, reached, end in standing.places()
        }

    def _watch(self) -> None:
        while not self._over.wait(self.look_seconds):
            reason = self.stalled(self.now())
            if reason is not None:
                log.error("process_stalled", reason=reason, seconds_max=self.stall_seconds_max)
                self.end()
                return

    def stalled(self, now: float) -> str | None:
        """Return what has not moved for too long; None: all is well."""
        if now - self._turned > self.stall_seconds_max:
            return "the event loop does not turn"
        for at, (position, since) in list(self._seen.items()):
            if now - since > self.stall_seconds_max:
                return f"{at.topic}[{at.partition}] has lag and stays at {position}"
        return None
