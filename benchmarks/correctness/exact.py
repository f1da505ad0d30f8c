"""What is true of a log: exact windows by a slow, obvious function; and the stated rule of Millrace by its oracle."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.correctness.drivers.job import LATENESS, WINDOW
from tests.unit.oracles.windows import Oracle, Past

from millrace.spec import Deployment, Scalar
from millrace_common.records import Record

Log = Sequence[Sequence[Record]]
Place = tuple[int, int]
"""Partition and offset of an event."""
Values = tuple[Scalar, ...]
"""Count, sum and maximum."""
_MILLISECOND = 1_000
_WINDOW_MS, _LATENESS_MS = (int(span.total_seconds() * _MILLISECOND) for span in (WINDOW, LATENESS))


def exact(log: Log) -> dict[Place, Values]:
    """Return the values of each event that counts: of the events known by then, those of the hour that ends with it.

    An id counts once, where it comes first. What is older than the card's newest event by more than the lateness bound
    does not count.
    """
    found: dict[Place, Values] = {}
    cards, ids = defaultdict[str, list[tuple[int, float | None]]](list), set[str]()
    for partition, records in enumerate(log):
        for record in records:
            event = json.loads(record.value or b"")
            now, past = event["ts"], cards[event["card"]]
            is_late = now < max((ts for ts, _ in past), default=now) - _LATENESS_MS
            if is_late or event["payment_id"] in ids:
                continue
            ids.add(event["payment_id"])
            past.append((now, event["amount"]))
            inside = [amount for ts, amount in past if now - _WINDOW_MS <= ts <= now]
            amounts = [amount for amount in inside if amount is not None]
            found[partition, record.offset] = len(inside), math.fsum(amounts), max(amounts, default=None)
    return found


def by_rule(log: Log, deployment: Deployment) -> dict[Place, Values]:
    """Return what the oracle says: the 64 newest events of a card as they are, older ones in tiles."""
    spec, found = deployment.events["payment"], dict[Place, Values]()
    cards: dict[str, Oracle] = {}
    for partition, records in enumerate(log):
        for record in records:
            event = json.loads(record.value or b"")
            oracle = cards.setdefault(event["card"], Oracle(tuple(deployment.groups.values()), deployment.events))
            past = Past(event["payment_id"], spec.type, event["ts"] * _MILLISECOND, event)
            row = oracle.step(spec, past)
            for values in row.groups.values():
                found[partition, record.offset] = tuple(values.values())
    return found
