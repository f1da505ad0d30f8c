"""Where an entity lives: its key as text, its partition, its name in Redis."""

from collections.abc import Sequence
from functools import lru_cache

from millrace.keys import key_text
from millrace_common.ids import h

__all__ = ["REDIS_ID_BYTES_MAX", "key_text", "murmur2", "partition_of", "redis_id", "redis_ids"]

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
REDIS_ID_BYTES_MAX = 512
REMEMBERED_LENGTH_MAX = 64


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
    """Return the partition of an entity among `partitions`; short keys that come again are remembered."""
    hashed = _remembered(key) if len(key) <= REMEMBERED_LENGTH_MAX else _positive(key)
    return hashed % partitions


def _positive(key: str | bytes) -> int:
    return murmur2(key.encode() if isinstance(key, str) else key) & 0x7FFFFFFF


_remembered = lru_cache(maxsize=65_536)(_positive)


def redis_id(entity_id: str) -> str:
    """Return the entity id as it stands in Redis keys: itself, or `#` and its hash where it is long or begins so.

    >>> redis_id("4929"), redis_id("#1") == "#" + h("#1")
    ('4929', True)
    """
    if entity_id.startswith("#") or len(entity_id) > REDIS_ID_BYTES_MAX // 4:
        is_short = not entity_id.startswith("#") and len(entity_id.encode()) <= REDIS_ID_BYTES_MAX
        return entity_id if is_short else "#" + h(entity_id)
    return entity_id


def redis_ids(entity_ids: Sequence[str]) -> Sequence[str]:
    """Return what `redis_id` returns of each: themselves, as nearly all are, all at once."""
    if max(map(len, entity_ids), default=0) > REDIS_ID_BYTES_MAX // 4 or "#" in {id_[:1] for id_ in entity_ids}:
        return list(map(redis_id, entity_ids))
    return entity_ids
