"""How records lie in the spool: length, checksum, payload; a torn tail is seen."""

import struct
import zlib
from collections.abc import Iterator

import msgspec

from millrace_common.records import Outgoing

FRAME_BYTES_MAX = 900 << 10
_HEAD = struct.Struct("<II")
_ENCODER = msgspec.msgpack.Encoder()
_Stored = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
_DECODER = msgspec.msgpack.Decoder(_Stored)


def frame(record: Outgoing) -> bytes:
    """Return a record as one frame."""
    payload = _ENCODER.encode((record.topic, record.key, record.value, record.headers))
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes) -> Iterator[tuple[Outgoing, int]]:
    """Yield the records of `data` with the place where each ends, up to the first frame that is not whole.

    >>> whole = frame(Outgoing("t", b"k", b"v"))
    >>> [end == len(whole) for _, end in frames(whole + whole[:-1])]
    [True]
    """
    at = 0
    while at + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if length == 0 or len(payload) < length or zlib.crc32(payload) != crc:
            return
        at += _HEAD.size + length
        topic, key, value, headers = _DECODER.decode(payload)
        yield Outgoing(topic, key, value, headers), at
