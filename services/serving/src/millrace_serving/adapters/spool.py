"""The spool: an answer is on disk before it is given, and on the broker some time after.

Answers that wait are written and synced together; the next group gathers while one is being synced.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from millrace_common.bus import Publisher
from millrace_common.errors import Refused, Unavailable, Unknown
from millrace_common.records import Outgoing
from millrace_serving.adapters.segments import Segment, Segments
from millrace_serving.core.frames import FRAME_BYTES_MAX, frame

SEGMENT_BYTES_MAX = 8 << 20
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.2, 5.0
CLOSE_SECONDS_MAX = 2.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Group:
    """Frames that are synced together."""

    frames: list[bytes]
    task: asyncio.Task[None]


@dataclass(slots=True)
class Spool:
    """Records on their way to the broker. `records` counts those it does not have yet."""

    segments: Segments
    thread: ThreadPoolExecutor
    bytes_max: int
    segment_bytes_max: int = SEGMENT_BYTES_MAX
    records: int = 0
    waiting_bytes: int = 0
    _writing: Segment | None = None
    _group: _Group | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _kept: asyncio.Event = field(default_factory=asyncio.Event)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, *records: Outgoing) -> None:
        """Return once the records are on disk; raises Unavailable where the spool is full or the disk fails."""
        data = [frame(record) for record in records]
        size = sum(map(len, data))
        if max(map(len, data)) > FRAME_BYTES_MAX:
            raise Refused("too-large", f"a prediction must not exceed {FRAME_BYTES_MAX} bytes")
        if self.waiting_bytes + size > self.bytes_max:
            raise Unavailable(f"{self.records} predictions wait for the broker; the spool is full")
        if self._group is None:
            self._group = _Group([], asyncio.create_task(self._write_group()))
        group = self._group
        self._empty.clear()
        group.frames += data
        self.waiting_bytes += size
        self.records += len(data)
        await asyncio.shield(group.task)

    async def _write_group(self) -> None:
        async with self._turn:
            group, self._group = self._group, None
            assert group is not None
            data = b"".join(group.frames)
            try:
                await asyncio.get_running_loop().run_in_executor(self.thread, self._write, data)
            except OSError as error:
                self.waiting_bytes -= len(data)
                self.records -= len(group.frames)
                self._abandon()
                self._kept.set()
                log.warning("spool_write_failed", error=str(error))
                raise Unavailable(f"the spool cannot be written: {error}") from error
            assert self._writing is not None
            self._writing.durable += len(data)
            self._kept.set()

    def _write(self, data: bytes) -> None:
        """Append and sync; runs in the spool's thread."""
        if self._writing is None or self._writing.durable >= self.segment_bytes_max:
            self._writing = self.segments.add()
            self.segments.held.append(self._writing)
        view = memoryview(data)
        at = self._writing.durable
        while view:
            written = os.pwrite(self._writing.file, view, at)
            view, at = view[written:], at + written
        os.fdatasync(self._writing.file)

    def _abandon(self) -> None:
        """Write to a new segment from now on: what lies past a failed sync is not known."""
        self._writing = None

    async def emptied(self) -> None:
        """Return once the broker has everything."""
        await self._empty.wait()

    async def send(self, publisher: Publisher) -> None:
        """Publish what is kept, in order, for ever; a failed send is repeated with the same ids."""
        pause = RETRY_SECONDS
        while True:
            records, end = self.segments.next(self._writing)
            if not records:
                if not self.records:
                    self._empty.set()
                self._kept.clear()
                await self._kept.wait()
                continue
            try:
                await publisher.publish(records)
            except (Unavailable, Unknown) as error:
                log.warning("spool_send_failed", error=str(error), waiting=self.records)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
                continue
            pause = RETRY_SECONDS
            self.waiting_bytes -= end - self.segments.sent
            self.records -= len(records)
            self.segments.acknowledge(end)


@asynccontextmanager
async def open_spool(
    folder: Path, *, bytes_max: int, segment_bytes_max: int = SEGMENT_BYTES_MAX
) -> AsyncIterator[Spool]:
    """Open the spool in `folder` with what an earlier process left in it."""
    segments = Segments.open(folder)
    thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
    spool = Spool(
        segments,
        thread,
        bytes_max,
        segment_bytes_max,
        records=segments.waiting_records(),
        waiting_bytes=segments.waiting_bytes,
    )
    if spool.records:
        log.info("spool_resumed", records=spool.records, waiting_bytes=spool.waiting_bytes)
    try:
        yield spool
    finally:
        thread.shutdown()
        segments.close()


@asynccontextmanager
async def sending(spool: Spool, publisher: Publisher) -> AsyncIterator[None]:
    """Send what the spool holds while the body runs, and for a moment after; a sender that fails ends the body too."""
    body = asyncio.current_task()
    assert body is not None

    def end(done: asyncio.Task[None]) -> None:
        if not done.cancelled():
            body.cancel()

    sender = asyncio.create_task(spool.send(publisher))
    sender.add_done_callback(end)
    try:
        yield
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await spool.emptied()
    finally:
        sender.cancel()
        [failure] = await asyncio.gather(sender, return_exceptions=True)
        if failure is not None and not isinstance(failure, asyncio.CancelledError):
            raise failure
