"""What was fetched and waits to be worked off: one thread puts it there, another one takes it.

There is no lock: at each end of a deque stands one thread, and each count has one writer.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord
from faust.types import TP


class Chunk(NamedTuple):
    """Records of one partition, in order; all that lay from `start` on up to the last of them are here."""

    start: int
    raws: Sequence[ConsumerRecord]


@dataclass(slots=True)
class _Queue:
    next: int
    chunks: deque[Chunk] = field(default_factory=deque)
    put: int = 0
    taken: int = 0


@dataclass(slots=True)
class Fetched:
    """Records by partition. `records_max`: from so many of a partition on no more of it are wanted."""

    records_max: int
    _queues: dict[TP, _Queue] = field(default_factory=dict)

    # --- who fetches -------------------------------------------------------------------------------------------------
    def seek(self, starts: Mapping[TP, int]) -> None:
        """Forget what waits; these partitions, and no others, are fetched next from these offsets on."""
        self._queues = {tp: _Queue(start) for tp, start in starts.items()}

    def wanted(self, partitions: Iterable[TP]) -> set[TP]:
        """Return those of which more may be fetched."""
        queues = [(tp, self._queues[tp]) for tp in partitions if tp in self._queues]
        return {tp for tp, queue in queues if queue.put - queue.taken < self.records_max}

    def put(self, tp: TP, raws: Sequence[ConsumerRecord]) -> None:
        """Add what was fetched next of a partition, of which there is one; of others it is dropped."""
        queue = self._queues.get(tp)
        if queue is not None:
            queue.put += len(raws)
            queue.chunks.append(Chunk(queue.next, raws))
            queue.next = raws[-1].offset + 1

    # --- who works it off --------------------------------------------------------------------------------------------
    def waiting(self) -> list[TP]:
        """Return the partitions of which something waits."""
        return [tp for tp, queue in self._queues.items() if queue.chunks]

    def take(self, tp: TP) -> Chunk | None:
        """Take what waits of a partition, `records_max` records at most; None: nothing."""
        queue = self._queues.get(tp)
        if queue is None or not queue.chunks:
            return None
        start, raws = queue.chunks[0].start, list[ConsumerRecord]()
        while queue.chunks and len(raws) < self.records_max:
            chunk, room = queue.chunks.popleft(), self.records_max - len(raws)
            if len(chunk.raws) > room:
                queue.chunks.appendleft(Chunk(chunk.raws[room - 1].offset + 1, chunk.raws[room:]))
            raws += chunk.raws[:room]
        queue.taken += len(raws)
        return Chunk(start, raws)
