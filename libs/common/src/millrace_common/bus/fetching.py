"""aiokafka's consumer, made to hand records over as columns, a batch of the log at a time.

aiokafka 0.14.0 copies each record into a dataclass of eleven fields and takes it through two generators, which takes
longer than all else that it does with one; and what waits to be worked off is looked through by the garbage collector
again and again, as long as there is an object for each record. Private methods are overridden, so the version is pinned
exactly.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBase as Format
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from crc32c import crc32c

from millrace_common.bus.framed import HEADER_BYTES
from millrace_common.columns import NoHeaders, Records, Unpack
from millrace_common.records import Headers, TopicPartition

_HEADER_VALUE = itemgetter(1)
_LENGTH = struct.Struct(">8xi")
"""How many bytes of a batch follow this."""
Named = Callable[[str, int], TopicPartition]
"""Returns a partition by its logical topic, given the broker's name of it."""


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose `getmany` returns Records; `unpack` may find them faster than aiokafka does."""

    def __init__(self, named: Named, unpack: Unpack | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._named = named
        self._unpack = unpack

    async def start(self) -> None:
        """Connect and begin to fetch, as a member of the group where there is one."""
        fetcher.MemoryRecords = Log  # aiokafka takes the class from there for each answer
        await super().start()
        self._fetcher.__class__ = _Fetcher
        self._fetcher.named = self._named
        self._fetcher.unpack = self._unpack


class _Fetcher(Fetcher):  # type: ignore[misc]  # aiokafka has no types
    named: Named
    unpack: Unpack | None

    async def _proc_fetch_request(self, *request: Any) -> bool:
        has_news: bool = await super()._proc_fetch_request(*request)
        for tp, result in self._records.items():
            if isinstance(result, FetchResult) and "getall" not in vars(result) and result.has_more():
                result.getall = WholeBatches(result, self.named(tp.topic, tp.partition), self.unpack)
        return has_news


class WholeBatches:
    """What `getall` of a fetch result does, batch by batch: it returns the same records, as columns."""

    def __init__(self, result: Any, at: TopicPartition, unpack: Unpack | None = None) -> None:
        self._result = result
        self._batches = in_batches(at, result._partition_records, unpack)
        self._end: int = result._partition_records.next_fetch_offset
        """Behind all batches that were unpacked."""
        self._left = Records.of(at, ())
        """Of these, what was not asked for yet."""

    def __call__(self, max_records: int | None = None) -> Records:
        """Return what was fetched next, `max_records` at most, and have the consumer stand behind it."""
        result, parts, n, is_all = self._result, [self._left], len(self._left), False
        if not result.check_assignment(result._topic_partition) or not result.has_more():
            return self._left[:0]
        while not is_all and (max_records is None or n < max_records):
            batch = next(self._batches, None)
            self._end = result._partition_records.next_fetch_offset
            is_all = batch is None
            if batch is not None:
                parts.append(batch)
                n += len(batch)
        records = Records.joined(parts)
        wanted = len(records) if max_records is None else min(max_records, len(records))
        self._left = records[wanted:]
        result._partition_records.next_fetch_offset = int(self._left.offsets[0]) if self._left else self._end
        result._update_position()
        if is_all and not self._left:
            result._partition_records = None
        return records[:wanted] if self._left else records


class Log(MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """What was fetched. It keeps the bytes that it was made of."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _Together(NamedTuple):
    """The records of a batch, where aiokafka looks for one: it stands for the last of them."""

    offset: int
    records: Records


class _Batch:
    """A batch of the log that gives its records at once. All else that aiokafka asks of one it is asked of itself."""

    def __init__(self, of: "_Batches", batch: Any, where: slice) -> None:
        self._of = of
        self._batch = batch
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[_Together]:
        try:
            records = self._unpacked() or records_of(self._of.at, self._batch)
        except UnicodeDecodeError:
            whole = self._of.data[self._where.start : self._where.stop]
            records = records_of(self._of.at, _OfAnyNames(whole))
        if records:
            yield _Together(int(records.offsets[-1]), records)

    def validate_crc(self) -> bool:
        """Say whether its bytes are those that were written, by the processor's own instruction where it has one."""
        if not isinstance(self._batch, DefaultRecordBatch):
            return bool(self._batch.validate_crc())
        checked = memoryview(self._of.data)[self._where.start + Format.ATTRIBUTES_OFFSET : self._where.stop]
        return bool(crc32c(checked) == self._batch.crc)

    def _unpacked(self) -> Records | None:
        data, batch, first = self._of.data, self._batch, self._where.start
        if self._of.unpack is None or not isinstance(batch, DefaultRecordBatch) or batch.compression_type:
            return None
        *_, count = Format.HEADER_STRUCT.unpack_from(data, first)
        found = self._of.unpack(data, slice(first + HEADER_BYTES, self._where.stop), count)
        if found is None:
            return None
        times_ms = found.time_deltas_ms + batch.first_timestamp
        if batch.timestamp_type:
            times_ms[:] = batch.max_timestamp
        offsets = found.offset_deltas + batch.base_offset
        return Records(self._of.at, offsets, found.keys, found.values, NoHeaders(count), times_ms * 1_000)


class _AnyText(bytearray):
    """Bytes of which a part is read as text whatever it is: what is not UTF-8 becomes a question mark of Unicode's."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _OfAnyNames(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    """A batch in which headers have names that are not UTF-8, as Kafka allows: aiokafka's own reader stops there."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _AnyText(self._buffer)


class _Batches:
    """What was fetched, in batches that give their records at once."""

    def __init__(self, at: TopicPartition, log: Log, unpack: Unpack | None) -> None:
        self.at = at
        self.data = log.data
        self.unpack = unpack
        self.has_next = log.has_next
        self._next_batch = log.next_batch
        self._end = 0

    def next_batch(self) -> _Batch:
        first = self._end
        self._end += _LENGTH.size + _LENGTH.unpack_from(self.data, first)[0]
        return _Batch(self, self._next_batch(), slice(first, self._end))


def in_batches(at: TopicPartition, records: PartitionRecords, unpack: Unpack | None = None) -> Iterator[Records]:
    """Yield the records of each batch that aiokafka would yield one by one; none was asked of it before."""
    records._records = _Batches(at, records._records, unpack)
    records._consumer_record = partial(_wanted, records)
    yield from records


def _wanted(records: PartitionRecords, _place: Any, together: _Together) -> Records:
    return together.records.since(records.next_fetch_offset)


def records_of(at: TopicPartition, raws: Iterable[Any]) -> Records:
    """Return records as the services see them; Kafka lets a header have no value, here it is empty then.

    `raws` have the fields of a ConsumerRecord that matter here. Each is let go before the next is asked for: what is
    left of it is nothing that the garbage collector looks at.
    """
    offsets, times_ms = list[int](), list[int]()
    keys, values, headers = list[bytes | None](), list[bytes | None](), list[Sequence[tuple[str, bytes | None]]]()
    for raw in raws:
        offsets.append(raw.offset)
        times_ms.append(raw.timestamp)
        keys.append(raw.key)
        values.append(raw.value)
        headers.append(raw.headers or ())
    stated: list[Headers] = _with_values(headers) if any(headers) else [()] * len(headers)
    return Records(at, np.array(offsets, np.int64), keys, values, stated, np.array(times_ms, np.int64) * 1_000)


def _with_values(stated: Sequence[Sequence[tuple[str, bytes | None]]]) -> list[Headers]:
    if None in map(_HEADER_VALUE, chain.from_iterable(stated)):
        return [tuple((name, value or b"") for name, value in headers) for headers in stated]
    return [tuple(headers) for headers in stated]  # type: ignore[arg-type]  # each has its value
