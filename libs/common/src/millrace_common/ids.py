"""Ids as functions of the input, so that a replay gives the same ones.

H is BLAKE2b-128 over length-prefixed UTF-8 parts, written as 32 hex characters.
"""

import hashlib
from collections.abc import Iterable


def h(*parts: str | int) -> str:
    """Return the id of `parts`; no two lists of parts share their bytes.

    >>> h("a", "bc") == h("ab", "c")
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


def sha256(data: bytes) -> str:
    """Return the digest of a file or artifact, `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def event_id_at(topic: str, partition: int, offset: int) -> str:
    """Return the id of an event that names none: where it first lay."""
    return h(topic, partition, offset)


def label_event_id(event_type: str, refers_to: str, canonical_value: str) -> str:
    """Return the id of a label event that names none."""
    return h(event_type, refers_to, canonical_value)


def row_id(entity_type: str, event_type: str, event_id: str, group_keys: Iterable[str]) -> str:
    """Return the id of a feature row; `group_keys` are `CardSpend@<hash8>`, order does not matter."""
    return h(entity_type, event_type, event_id, *sorted(group_keys))


def row_id_around(entity_type: str, event_type: str, group_keys: Iterable[str]) -> tuple[bytes, bytes]:
    """Return what a row id is the digest of, before and behind the event id and its length of 4 bytes.

    >>> before, behind = row_id_around("card", "payment", ["G@1"])
    >>> told = before + len("p1").to_bytes(4, "big") + b"p1" + behind
    >>> hashlib.blake2b(told, digest_size=16).hexdigest() == row_id("card", "payment", "p1", ["G@1"])
    True
    """
    return _prefixed(entity_type) + _prefixed(event_type), b"".join(map(_prefixed, sorted(group_keys)))


def _prefixed(part: str) -> bytes:
    data = part.encode()
    return len(data).to_bytes(4, "big") + data


def label_id(name: str, source_event_id: str) -> str:
    """Return the id of a label."""
    return h(name, source_event_id)


def run_id(model: str, request: str) -> str:
    """Return the id of a training run; `request` is a request id or `bootstrap-<n>`."""
    return h(model, request)


def stream_prediction_id(model: str, role: str, shadow_digest: str, row: str) -> str:
    """Return the id of the prediction of one row; `shadow_digest` is empty for an answer."""
    return h(model, role, shadow_digest, row)


def incident_id(model: str, digest: str, kind: str, subject: str, segment: str, first_cut: str) -> str:
    """Return the id of an incident."""
    return h(model, digest, kind, subject, segment, first_cut)


def alert_id(incident: str, revision: int) -> str:
    """Return the id of one revision of an incident."""
    return h(incident, revision)
