"""The identity of a declaration: a hash of its content, the same on every machine and in every process."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

ADDED: Mapping[str, bool] = {"added": True}
"""Metadata of a field that came to a declaration later: with its default it is no part of the hash, as before."""


def content_hash(*parts: object) -> str:
    """Return BLAKE2b-128 of the canonical JSON of `parts` (dataclasses, mappings, sequences, scalars), in hex.

    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    plain = [canonical(part) for part in parts]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def canonical(value: object) -> object:
    """Return `value` as JSON knows it; a dataclass keeps its class name, so that no two kinds are equal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        stated = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value) if _counts(field, value)
        }
        return {"is": type(value).__name__, **{name: canonical(item) for name, item in stated.items()}}
    if isinstance(value, Mapping):
        return {str(name): canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no content hash")


def _counts(field: "dataclasses.Field[object]", value: object) -> bool:
    return not field.metadata.get("added") or getattr(value, field.name) != field.default
