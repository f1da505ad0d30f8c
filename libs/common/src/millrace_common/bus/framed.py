"""A Kafka batch whose records are laid out already: to hand them to aiokafka's builder one by one takes longer."""

from aiokafka.record.default_records import DefaultRecordBase as Format
from crc32c import crc32c

HEADER_BYTES = Format.HEADER_STRUCT.size
_MAGIC = 2
_NO_TIME = -1
"""The broker says when a record was appended."""


class Framed:
    """What aiokafka's sender asks of a `BatchBuilder`, for records in Kafka's record format 2, uncompressed.

    `buffer` has them behind HEADER_BYTES of room, which are filled here.
    """

    def __init__(self, count: int, buffer: memoryview) -> None:
        self._count = count
        self._buffer = buffer
        self._producer = (-1, -1, 0)
        self._is_built = False

    def append(self, **record: object) -> None:
        """Take no more records."""

    def close(self) -> None:
        """Stay closed."""

    def closed(self) -> bool:
        """Say that it takes no more."""
        return True

    def record_count(self) -> int:
        """Return how many records it holds."""
        return self._count

    def size(self) -> int:
        """Return its bytes."""
        return len(self._buffer)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> memoryview:
        """Return the batch as it is sent; the same bytes when it is sent again."""
        if not self._is_built:
            self._write_header(0)
            self._write_header(crc32c(self._buffer[Format.ATTRIBUTES_OFFSET :]))
            self._is_built = True
        return self._buffer

    def _write_header(self, crc: int) -> None:
        Format.HEADER_STRUCT.pack_into(
            self._buffer,
            0,
            0,
            len(self._buffer) - Format.AFTER_LEN_OFFSET,
            Format.NO_PARTITION_LEADER_EPOCH,
            _MAGIC,
            crc,
            0,
            self._count - 1,
            _NO_TIME,
            _NO_TIME,
            *self._producer,
            self._count,
        )
