"""Where an entity lives: its key as text, its partition, its name in Redis."""

from millrace.keys import key_text
from millrace_common.ids import h

__all__ = ["REDIS_ID_BYTES_MAX", "key_text", "murmur2", "partition_of", "redis_id"]

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
REDIS_ID_BYTES_MAX = 512


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 of `data`, as the Java client computes it.

    >>> murmur2(b"21") == (-973932308) & 0xFFFFFFFF
    True
    """
    value = (0x9747B28C ^ len(data)) & _MASK
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        value = (value * _M & _MASK) ^ k
    rest = data[whole:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * _M & _MASK
    value = (value ^ (value >> 13)) * _M & _MASK
    return value ^ (value >> 15)


def partition_of(key: str | bytes, partitions: int) -> int:
    """Return the partition of an entity among `partitions`."""
    data = key.encode() if isinstance(key, str) else key
    return (murmur2(data) & 0x7FFFFFFF) % partitions


def redis_id(entity_id: str) -> str:
    """Return the entity id as it stands in Redis keys: itself, or `#` and its hash where it is long."""
    return entity_id if len(entity_id.encode()) <= REDIS_ID_BYTES_MAX else "#" + h(entity_id)
