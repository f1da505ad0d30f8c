"""A training set: the matrix, the labels, who each row is, and where it came from."""

import hashlib
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from millrace_common.messages import Offsets

Matrix = NDArray[np.float32]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training set came from and what was left out of it.

    `rows` events had a row; `labelled` of them a label, of which the newest were taken. `orphans` are labels without a
    row, `incomplete` labelled events without all groups of the view, `invalid` labels that are not 0, 1 or a bool.
    """

    offsets: Offsets
    watermark_us: int
    rows: int
    labelled: int
    orphans: int
    incomplete: int
    invalid: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled rows in the order of (event time, partition, offset)."""

    x: Matrix
    y: NDArray[np.int8]
    times_us: NDArray[np.int64]
    event_ids: tuple[str, ...]
    entity_ids: tuple[str, ...]
    facts: Facts

    def __len__(self) -> int:
        return len(self.event_ids)

    def digest(self) -> str:
        """Return the digest of the canonical matrix, the labels and the ids."""
        digest = hashlib.sha256()
        digest.update(f"{self.x.shape[0]}x{self.x.shape[1]}\n".encode())
        canonical = np.where(np.isnan(self.x), np.float32(np.nan), self.x)
        digest.update(np.ascontiguousarray(canonical, "<f4").tobytes())
        digest.update(self.y.tobytes())
        digest.update(msgspec.json.encode(self.event_ids))
        return "sha256:" + digest.hexdigest()


class _Packed(msgspec.Struct, frozen=True, kw_only=True):
    columns: int
    x: bytes
    y: bytes
    times_us: bytes
    event_ids: tuple[str, ...]
    entity_ids: tuple[str, ...]
    facts: Facts


def pack(dataset: Dataset) -> bytes:
    """Return a training set as bytes."""
    return msgspec.msgpack.encode(
        _Packed(
            columns=dataset.x.shape[1],
            x=np.ascontiguousarray(dataset.x, "<f4").tobytes(),
            y=dataset.y.tobytes(),
            times_us=np.ascontiguousarray(dataset.times_us, "<i8").tobytes(),
            event_ids=dataset.event_ids,
            entity_ids=dataset.entity_ids,
            facts=dataset.facts,
        )
    )


def unpack(data: bytes) -> Dataset:
    """Return the training set that `pack` wrote."""
    packed = msgspec.msgpack.decode(data, type=_Packed)
    return Dataset(
        x=np.frombuffer(packed.x, "<f4").reshape(-1, packed.columns),
        y=np.frombuffer(packed.y, np.int8),
        times_us=np.frombuffer(packed.times_us, "<i8"),
        event_ids=packed.event_ids,
        entity_ids=packed.entity_ids,
        facts=packed.facts,
    )
