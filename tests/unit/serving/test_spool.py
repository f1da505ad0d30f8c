"""The spool: on disk before the answer, on the broker once, in order, whatever dies."""

import asyncio
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.errors import Fenced, Misconfigured, Unavailable, Unknown
from millrace_common.messages import Position
from millrace_common.records import Outgoing
from millrace_serving.adapters.spool import Spool, open_spool, sending
from millrace_serving.core.frames import frame, frames

MIB = 1 << 20


def record(number: int, size: int = 0) -> Outgoing:
    """Return a record that can be told apart."""
    return Outgoing("predictions", b"k", f"{number}".encode() + b"." * size, (("ce_id", b"1"),))


@dataclass(slots=True)
class Broker:
    """Takes records, unless it is away; `unknown` takes them and does not say so."""

    taken: list[bytes] = field(default_factory=list)
    away: int = 0
    unknown: int = 0

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Take the records."""
        if self.away:
            self.away -= 1
            raise Unavailable("no broker")
        self.taken += [one.value or b"" for one in records]
        if self.unknown:
            self.unknown -= 1
            raise Unknown("no answer in time")
        return []

    async def partitions(self, topic: str) -> int:
        """Return one."""
        return 1


async def emptied(spool: Spool) -> None:
    """Wait until the broker has everything."""
    async with asyncio.timeout(10):
        await spool.emptied()


def segments(folder: Path) -> list[Path]:
    """Return the spool's segments, oldest first."""
    return sorted(folder.glob("*.log"))


def tear(folder: Path, data: bytes) -> None:
    """Append to the only segment, as a write that was cut short does."""
    [segment] = segments(folder)
    segment.write_bytes(segment.read_bytes() + data)


async def test_what_is_kept_reaches_the_broker_once_and_in_order(tmp_path: Path) -> None:
    """Concurrent answers share syncs; their order is the order of keeping; nothing is left behind."""
    broker = Broker()
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await asyncio.gather(*(spool.keep(record(number)) for number in range(500)))
        await emptied(spool)

        assert broker.taken == [str(number).encode() for number in range(500)]
        assert (spool.records, spool.waiting_bytes) == (0, 0)


async def test_a_restart_sends_what_was_kept_and_not_sent(tmp_path: Path) -> None:
    """Records kept without a broker are sent by the next process, those acknowledged are not sent again."""
    first, second = Broker(), Broker()
    async with open_spool(tmp_path, bytes_max=MIB) as spool:
        async with sending(spool, first):
            await spool.keep(record(1))
            await emptied(spool)
        await spool.keep(record(2), record(3))
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, second):
        found = spool.records
        await spool.keep(record(4))
        await emptied(spool)

    assert found == 2
    assert (first.taken, second.taken) == ([b"1"], [b"2", b"3", b"4"])


async def test_a_broker_that_is_away_is_asked_again_in_order(tmp_path: Path) -> None:
    """Answers are kept meanwhile; an unknown outcome is sent again under the same ids."""
    broker = Broker(away=2, unknown=1)
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await spool.keep(record(1), record(2))
        await emptied(spool)

    assert broker.taken == [b"1", b"2", b"1", b"2"]


async def test_a_full_spool_refuses(tmp_path: Path) -> None:
    """Past its limit nothing more is promised; room comes back with the broker."""
    async with open_spool(tmp_path, bytes_max=1_000) as spool:
        await spool.keep(record(1, size=800))
        with pytest.raises(Unavailable, match="full"):
            await spool.keep(record(2, size=800))
        async with sending(spool, Broker()):
            await emptied(spool)
            await spool.keep(record(3, size=800))


async def test_segments_are_rolled_and_removed(tmp_path: Path) -> None:
    """The folder holds what is not acknowledged and little more, also over restarts."""
    broker = Broker()
    for start in (0, 50):
        async with open_spool(tmp_path, bytes_max=MIB, segment_bytes_max=1_000) as spool:
            for number in range(start, start + 50):
                await spool.keep(record(number, size=200))
            rolled = len(segments(tmp_path))
            async with sending(spool, broker):
                await emptied(spool)
            assert rolled > 5
            assert len(segments(tmp_path)) == 1

    assert [int(value.rstrip(b".")) for value in broker.taken] == list(range(100))


async def test_a_torn_tail_is_dropped(tmp_path: Path) -> None:
    """A frame that was being written when the machine stopped was never answered."""
    async with open_spool(tmp_path, bytes_max=MIB) as spool:
        await spool.keep(record(1))
    tear(tmp_path, frame(record(2))[:-3])
    broker = Broker()
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await spool.keep(record(3))
        await emptied(spool)

    assert broker.taken == [b"1", b"3"]


async def test_an_unreadable_position_sends_everything_again(tmp_path: Path) -> None:
    """The position file may be lost: readers know repeated ids."""
    broker = Broker()
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await spool.keep(record(1))
        await emptied(spool)
    (tmp_path / "acknowledged").write_text("")
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await emptied(spool)

    assert broker.taken == [b"1", b"1"]


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files past a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_fails_refuses_and_recovers(tmp_path: Path) -> None:
    """An answer whose record could not be written is not given; the next one goes to a new segment."""
    broker = Broker()
    async with open_spool(tmp_path, bytes_max=MIB) as spool, sending(spool, broker):
        await spool.keep(record(1))
        with disk_full_at(100), pytest.raises(Unavailable, match="cannot be written"):
            await spool.keep(record(2, size=200))
        await spool.keep(record(3))
        await emptied(spool)
        counted = (spool.records, spool.waiting_bytes)

    assert broker.taken == [b"1", b"3"]
    assert counted == (0, 0)


async def test_a_sender_that_fails_ends_the_body_with_its_own_error(tmp_path: Path) -> None:
    """Nothing goes on answering while nothing is sent; the error's kind decides how the process ends."""

    class Broken(Broker):
        async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
            raise Fenced("another owner")

    async def body(spool: Spool) -> None:
        async with sending(spool, Broken()), asyncio.timeout(5):
            await spool.keep(record(1))
            await asyncio.Event().wait()

    async with open_spool(tmp_path, bytes_max=MIB) as spool:
        with pytest.raises(Fenced):
            await body(spool)


async def test_an_error_of_the_body_stays_itself(tmp_path: Path) -> None:
    """The sender neither hides nor wraps what ended the service."""
    async with open_spool(tmp_path, bytes_max=MIB) as spool:
        with pytest.raises(Unavailable, match="redis"):
            async with sending(spool, Broker()):
                raise Unavailable("redis")


async def test_one_process_holds_a_spool(tmp_path: Path) -> None:
    """A second process with the same instance name refuses to start."""
    async with open_spool(tmp_path, bytes_max=MIB):
        with pytest.raises(Misconfigured, match="MILLRACE_INSTANCE"):
            async with open_spool(tmp_path, bytes_max=MIB):
                pass


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 2_000), st.integers(0, 255))
def test_frames_read_back_up_to_the_first_that_is_broken(values: list[bytes], cut: int, flip: int) -> None:
    """Whatever byte is changed or missing, what is read is a prefix of what was written."""
    written = [Outgoing("t", None, value) for value in values]
    data = bytearray(b"".join(map(frame, written)))
    assert [one for one, _ in frames(bytes(data))] == written

    if data:
        data[cut % len(data)] ^= flip or 1
    read = [one for one, _ in frames(bytes(data[: len(data) - cut % 7]))]
    assert read == written[: len(read)]
    assert not data or len(read) < len(written)


def test_a_spool_is_private(tmp_path: Path) -> None:
    """Segments hold feature vectors: only their owner reads them."""

    async def kept() -> None:
        async with open_spool(tmp_path, bytes_max=MIB) as spool:
            await spool.keep(record(1))

    asyncio.run(kept())
    [segment] = segments(tmp_path)
    assert os.stat(segment).st_mode & 0o077 == 0
