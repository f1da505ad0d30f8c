"""Records of one partition as columns: there is no object for a record until somebody looks at it alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter
from typing import overload

import numpy as np
from numpy.typing import NDArray

from millrace_common.records import Headers, Record, TopicPartition

Int64s = NDArray[np.int64]
_OFFSET, _KEY, _VALUE = attrgetter("offset"), attrgetter("key"), attrgetter("value")
_HEADERS, _APPENDED = attrgetter("headers"), attrgetter("append_time_us")


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sequence[Record]):
    """Records in order; at one index of each column stands one record."""

    at: TopicPartition
    offsets: Int64s
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    append_times_us: Int64s

    @classmethod
    def of(cls, at: TopicPartition, records: Sequence[Record]) -> "Records":
        """Return records of a partition as columns."""
        if isinstance(records, Records):
            return records
        n = len(records)
        return cls(
            at,
            np.fromiter(map(_OFFSET, records), np.int64, n),
            list(map(_KEY, records)),
            list(map(_VALUE, records)),
            list(map(_HEADERS, records)),
            np.fromiter(map(_APPENDED, records), np.int64, n),
        )

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """Return the records of all parts, of which there is one, in their order."""
        held = [part for part in parts if part]
        if len(held) < 2:
            return (held or parts)[0]
        return cls(
            held[0].at,
            np.concatenate([part.offsets for part in held]),
            list(chain.from_iterable(part.keys for part in held)),
            list(chain.from_iterable(part.values for part in held)),
            list(chain.from_iterable(part.headers for part in held)),
            np.concatenate([part.append_times_us for part in held]),
        )

    def since(self, offset: int) -> "Records":
        """Return the records from an offset on."""
        first = int(np.searchsorted(self.offsets, offset))
        return self[first:] if first else self

    def chosen(self, indices: Sequence[int]) -> "Records":
        """Return the records of these indices only."""
        return Records(
            self.at,
            self.offsets[indices],
            list(map(self.keys.__getitem__, indices)),
            list(map(self.values.__getitem__, indices)),
            list(map(self.headers.__getitem__, indices)),
            self.append_times_us[indices],
        )

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Record | Records":
        """Return one record, or those of a slice."""
        if isinstance(index, slice):
            return Records(
                self.at,
                self.offsets[index],
                self.keys[index],
                self.values[index],
                self.headers[index],
                self.append_times_us[index],
            )
        return Record(
            self.at.topic,
            self.at.partition,
            int(self.offsets[index]),
            self.keys[index],
            self.values[index],
            self.headers[index],
            int(self.append_times_us[index]),
        )

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records."""
        return map(
            Record,
            repeat(self.at.topic),
            repeat(self.at.partition),
            self.offsets.tolist(),
            self.keys,
            self.values,
            self.headers,
            self.append_times_us.tolist(),
        )

    def __len__(self) -> int:
        return len(self.keys)
