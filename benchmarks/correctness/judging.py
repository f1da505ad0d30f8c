"""Rows that came beside rows that should have come."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from benchmarks.correctness.exact import Log, Place, Values

from millrace.spec import Scalar
from millrace_common.codec import decode
from millrace_common.messages import FeatureRow

NAMES = ("count", "total", "most")
TOLERANCE = 1e-6
"""Relative: ours are 32-bit numbers, and the order of a sum is free."""
Rows = Mapping[Place, Sequence[Values]]
"""What the rows of each event say; one that was worked on twice has two."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one reading of a driver's rows."""

    expected: int
    came: int
    missing: int
    """Events that count without a row."""
    surplus: int
    """Rows of events that do not count: repetitions of an id, and what came too late."""
    repeated: int
    """Rows that lie on the topic once more, of the same event."""
    wrong: int
    """Events that count one of whose rows says something else."""
    largest_error: float
    """Relative to the true value, or to 1 where that is less; a value against none has no error, and is wrong."""
    count_error_mean: float
    """How far counts are off on the whole, over all rows of events that count."""
    wrong_by_value: dict[str, int]


def own_rows(features: Log) -> dict[str, Rows]:
    """Return the rows of the features service."""
    found = defaultdict[Place, list[Values]](list)
    for record in (record for records in features for record in records):
        row = decode(record)
        if isinstance(row, FeatureRow):
            (values,) = row.groups.values()
            found[row.source.partition, row.source.offset].append(tuple(values.values()))
    return {"window": found}


def peer_rows(features: Log) -> dict[str, Rows]:
    """Return the rows of a peer by the way in which it reads its windows."""
    found: defaultdict[str, defaultdict[Place, list[Values]]] = defaultdict(lambda: defaultdict(list))
    for record in (record for records in features for record in records):
        row: dict[str, Any] = msgspec.json.decode(record.value or b"")
        for reading, values in row["values"].items():
            found[reading][row["partition"], row["offset"]].append(tuple(values))
    return dict(found)


def judged(rows: Rows, true: Mapping[Place, Values], *, tolerance: float = TOLERANCE) -> Judged:
    """Hold rows against what is true; a tolerance of 0 asks for the same bits."""
    pairs = [(at, found, true[at]) for at, of_event in rows.items() if at in true for found in of_event]
    wrong = {name: set[Place]() for name in NAMES}
    errors = {name: list[float]() for name in NAMES}
    for at, found, wanted in pairs:
        for name, one, other in zip(NAMES, found, wanted, strict=True):
            if not _is_same(one, other, tolerance):
                wrong[name].add(at)
            if one is not None and other is not None:
                errors[name].append(error(one, other))
    came = sum(map(len, rows.values()))
    surplus = sum(len(of_event) for at, of_event in rows.items() if at not in true)
    return Judged(
        expected=len(true),
        came=came,
        missing=len(true.keys() - rows.keys()),
        surplus=surplus,
        repeated=len(pairs) - len(true.keys() & rows.keys()),
        wrong=len(set().union(*wrong.values())),
        largest_error=max((max(found, default=0.0) for found in errors.values()), default=0.0),
        count_error_mean=math.fsum(errors["count"]) / len(pairs) if pairs else 0.0,
        wrong_by_value={name: len(places) for name, places in wrong.items()},
    )


def error(found: Scalar, true: Scalar) -> float:
    """Return how far a value is from the true one, in parts of that, or of 1 where it is less.

    >>> error(3, 4), error(0.5, 0.25)
    (0.25, 0.25)
    """
    return abs(float(found or 0) - float(true or 0)) / max(abs(float(true or 0)), 1.0)


def _is_same(found: Scalar, true: Scalar, tolerance: float) -> bool:
    if found is None or true is None:
        return found is true
    return found == true or error(found, true) <= tolerance
