"""The spool's files: append-only segments, a lock, and the place up to which the broker has them."""

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from millrace_common.errors import Misconfigured
from millrace_common.records import Outgoing
from millrace_serving.core.frames import FRAME_BYTES_MAX, frames

READ_BYTES_MAX = FRAME_BYTES_MAX + (64 << 10)

log = structlog.get_logger()


@dataclass(slots=True)
class Segment:
    """One file of frames. Its first `durable` bytes are whole frames that were synced."""

    path: Path
    file: int
    durable: int = 0

    @property
    def number(self) -> int:
        """Return its place among the segments."""
        return int(self.path.stem)


@dataclass(slots=True)
class Segments:
    """The folder of one spool; one process at a time. `sent` is the place in the oldest segment to send from."""

    folder: Path
    lock: int
    held: list[Segment] = field(default_factory=list)
    sent: int = 0
    last_number: int = 0

    @classmethod
    def open(cls, folder: Path) -> "Segments":
        """Take the folder and find what was not acknowledged; raises Misconfigured where another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise Misconfigured(f"spool {folder} is in use; give each process its own MILLRACE_INSTANCE") from error
        segments = cls(folder, lock)
        segments._recover()
        return segments

    def _recover(self) -> None:
        number, at = self._acknowledged()
        self.last_number = number
        for path in sorted(self.folder.glob("*.log")):
            if int(path.stem) < number:
                path.unlink()
                continue
            segment = Segment(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
            data = path.read_bytes()
            segment.durable = max((end for _, end in frames(data)), default=0)
            if segment.durable < len(data):
                log.warning("spool_tail_dropped", segment=path.name, torn_bytes=len(data) - segment.durable)
                os.ftruncate(segment.file, segment.durable)
            self.held.append(segment)
            self.last_number = segment.number
        if self.held and self.held[0].number == number and at <= self.held[0].durable:
            self.sent = at

    def _acknowledged(self) -> tuple[int, int]:
        try:
            number, at = (self.folder / "acknowledged").read_text().split()
        except FileNotFoundError:
            return 0, 0
        except ValueError:
            log.warning("spool_position_unreadable", folder=str(self.folder))
            return 0, 0
        return int(number), int(at)

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes the broker does not have yet."""
        return sum(segment.durable for segment in self.held) - self.sent

    def waiting_records(self) -> int:
        """Count the records that the broker does not have yet, by reading them."""
        starts = (self.sent, *(0 for _ in self.held[1:]))
        return sum(
            sum(1 for _ in frames(os.pread(segment.file, segment.durable - start, start)))
            for segment, start in zip(self.held, starts, strict=bool(self.held))
        )

    def add(self) -> Segment:
        """Create the next segment; its name is on disk before this returns."""
        self.last_number += 1
        path = self.folder / f"{self.last_number:020d}.log"
        segment = Segment(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        folder = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return segment

    def next(self, writing: Segment | None) -> tuple[list[Outgoing], int]:
        """Return the oldest durable records not sent yet, and their end in the oldest segment.

        Segments that are read to their end are dropped, save the one being written.
        """
        while self.held:
            oldest = self.held[0]
            size = min(READ_BYTES_MAX, oldest.durable - self.sent)
            found = list(frames(os.pread(oldest.file, size, self.sent)))
            if found:
                return [record for record, _ in found], self.sent + found[-1][1]
            if oldest is writing:
                break
            if self.sent < oldest.durable:
                log.error("spool_segment_broken", segment=oldest.path.name, lost_bytes=oldest.durable - self.sent)
            self._drop(oldest)
        return [], 0

    def acknowledge(self, end: int) -> None:
        """Record that the broker has the oldest segment up to `end`."""
        self.sent = end
        self._write_acknowledged(self.held[0].number, end)

    def _drop(self, segment: Segment) -> None:
        self.held.pop(0)
        self.sent = 0
        self._write_acknowledged(segment.number + 1, 0)
        os.close(segment.file)
        segment.path.unlink()

    def _write_acknowledged(self, number: int, at: int) -> None:
        """Write the place down; where the disk refuses, the next process sends again what readers know already."""
        beside = self.folder / "acknowledged.tmp"
        try:
            beside.write_text(f"{number} {at}\n")
            beside.rename(self.folder / "acknowledged")
        except OSError as error:
            log.warning("spool_position_not_written", error=str(error))

    def close(self) -> None:
        """Close the files and give the folder free."""
        for segment in self.held:
            os.close(segment.file)
        os.close(self.lock)
