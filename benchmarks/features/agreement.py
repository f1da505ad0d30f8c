"""Whether two drivers answer the same: their rows of the same events, feature by feature."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from benchmarks.features.drivers.cards import WINDOWS_MS

NAMES = tuple(f"{name}_{window}" for window in WINDOWS_MS for name in ("n", "mean", "most"))
TOLERANCE = 1e-6
"""Relative: ours are 32-bit numbers."""
Features = Mapping[str, Sequence[float]]


def features_of(rows: Iterable[bytes]) -> Features:
    """Return the nine features of each event, by its id; a row that is none (of the raw loop) has none."""
    found: dict[str, Sequence[float]] = {}
    for value in rows:
        if value.startswith(b"{"):
            row = msgspec.json.decode(value)
            found[row["event_id"]] = row["features"] if "features" in row else _ours(row)
    return found


def share(found: Features, exact: Features) -> float | None:
    """Return the share of the events in both whose nine features are the same; None where there is no such event."""
    both = found.keys() & exact.keys()
    same = sum(all(map(_is_same, found[name], exact[name])) for name in both)
    return same / len(both) if both else None


def _ours(row: Mapping[str, Any]) -> list[float]:
    (values,) = row["groups"].values()
    return [values[name] or 0.0 for name in NAMES]


def _is_same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
