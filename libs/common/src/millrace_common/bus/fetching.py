"""aiokafka's consumer, made to hand records over as they were unpacked, a batch of the log at a time.

aiokafka 0.14.0 copies each record into a dataclass of eleven fields and takes it through two generators, which takes
longer than all else that it does with one. Private methods are overridden, so the version is pinned exactly; a record
that came the usual way reads the same.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose records have offset, key, value, headers and timestamp as a ConsumerRecord has, and no place."""

    async def start(self) -> None:
        """Connect and begin to fetch, as a member of the group where there is one."""
        await super().start()
        self._fetcher.__class__ = _Fetcher


class _Fetcher(Fetcher):  # type: ignore[misc]  # aiokafka has no types
    async def _proc_fetch_request(self, *request: Any) -> bool:
        has_news: bool = await super()._proc_fetch_request(*request)
        for result in self._records.values():
            if isinstance(result, FetchResult) and "getall" not in vars(result) and result.has_more():
                result.getall = WholeBatches(result)
        return has_news


class WholeBatches:
    """What `getall` of a fetch result does, batch by batch: it returns the same records, as they were unpacked."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self._batches = in_batches(result._partition_records)
        self._end: int = result._partition_records.next_fetch_offset
        """Behind all batches that were unpacked."""
        self._left: list[Any] = []
        """Of these, what was not asked for yet."""

    def __call__(self, max_records: int | None = None) -> list[Any]:
        """Return what was fetched next, `max_records` at most, and have the consumer stand behind it."""
        result = self._result
        if not result.check_assignment(result._topic_partition) or not result.has_more():
            return []
        records, is_all = self._left, False
        while not is_all and (max_records is None or len(records) < max_records):
            batch = next(self._batches, None)
            self._end = result._partition_records.next_fetch_offset
            records, is_all = records + (batch or []), batch is None
        self._left = [] if max_records is None else records[max_records:]
        result._partition_records.next_fetch_offset = self._left[0].offset if self._left else self._end
        result._update_position()
        if is_all and not self._left:
            result._partition_records = None
        return records[: len(records) - len(self._left)]


class _Together(NamedTuple):
    """The records of a batch, where aiokafka looks for one: it stands for the last of them."""

    offset: int
    records: list[Any]


class _Batch:
    """A batch of the log that gives its records at once. All else that aiokafka asks of one it is asked of itself."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[_Together]:
        records = list(self._batch)
        if records:
            yield _Together(records[-1].offset, records)


class _Log:
    """What was fetched, in batches that give their records at once."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch())


def in_batches(records: PartitionRecords) -> Iterator[list[Any]]:
    """Yield the records of each batch that aiokafka would yield one by one; none was asked of it before."""
    records._records = _Log(records._records)
    records._consumer_record = partial(_wanted, records)
    yield from records


def _wanted(records: PartitionRecords, _place: Any, together: _Together) -> list[Any]:
    first: int = records.next_fetch_offset
    if together.records[0].offset >= first:
        return together.records
    return [record for record in together.records if record.offset >= first]
