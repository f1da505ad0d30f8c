"""What was fetched and waits to be worked off: one thread puts it there, another one takes it.

There is no lock: at each end of a deque stands one thread, and each count has one writer.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from faust.types import TP

from millrace_common.columns import Records


class Chunk(NamedTuple):
    """Records of one partition, in order; all that lay from `start` on up to the last of them are here."""

    start: int
    records: Records


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

    def put(self, tp: TP, records: Records) -> None:
        """Add what was fetched next of a partition, of which there is one; of others it is dropped."""
        queue = self._queues.get(tp)
        if queue is not None:
            queue.put += len(records)
            queue.chunks.append(Chunk(queue.next, records))
            queue.next = int(records.offsets[-1]) + 1

    # --- who works it off --------------------------------------------------------------------------------------------
    def waiting(self) -> list[TP]:
        """Return the partitions of which something waits."""
        return [tp for tp, queue in self._queues.items() if queue.chunks]

    def take(self, tp: TP) -> Chunk | None:
        """Take what waits of a partition, `records_max` records at most; None: nothing."""
        queue = self._queues.get(tp)
        if queue is None or not queue.chunks:
            return None
        start, parts, room = queue.chunks[0].start, list[Records](), self.records_max
        while queue.chunks and room > 0:
            records = queue.chunks.popleft().records
            if len(records) > room:
                queue.chunks.appendleft(Chunk(int(records.offsets[room - 1]) + 1, records[room:]))
                records = records[:room]
            parts.append(records)
            room -= len(records)
        queue.taken += self.records_max - room
        return Chunk(start, Records.joined(parts))
