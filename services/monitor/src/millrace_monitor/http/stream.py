"""Alerts as server-sent events. An event's id is the alert's Kafka offset, so that a reader resumes exactly."""

import asyncio
from collections.abc import AsyncIterator

from millrace_monitor.core.feed import Feed

LOOK_SECONDS = 0.25
HEARTBEAT_SECONDS = 15.0
AT_ONCE = 100


async def stream(feed: Feed, after: int) -> AsyncIterator[bytes]:
    """Yield every alert behind an offset, then each new one; a comment when nothing came for a while.

    A slow reader holds nothing up: it goes on with the oldest alert that is still kept.
    """
    yield b"retry: 2000\n\n"
    quiet_seconds = 0.0
    while True:
        news = feed.after(after, AT_ONCE)
        for offset, value in news:
            yield b"id: %d\nevent: alert\ndata: %s\n\n" % (offset, value)
            after = offset
        if news:
            quiet_seconds = 0.0
            continue
        await asyncio.sleep(LOOK_SECONDS)
        quiet_seconds += LOOK_SECONDS
        if quiet_seconds >= HEARTBEAT_SECONDS:
            quiet_seconds = 0.0
            yield b": still here\n\n"
