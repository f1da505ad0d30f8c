"""The streams of the matrix on which Millrace and its peers are compared."""

import random
from dataclasses import dataclass

from benchmarks.correctness.drivers.job import PARTITIONS
from tests.matrix import payments
from tests.matrix.payments import Order, Size

from millrace_common.records import Outgoing

SEED = 20_260
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Stream:
    """How payments come; where `killed`, their reader is killed meanwhile."""

    name: str
    order: Order
    killed: bool = False


STREAMS = (
    Stream("in order", payments.in_order),
    Stream("shuffled within lateness", payments.shuffled),
    Stream("duplicated", payments.duplicated),
    Stream("late", payments.late),
    Stream("in order and kill -9", payments.in_order, killed=True),
)


def sent(stream: Stream, *, events: int, cards: int, now_ms: int) -> list[Outgoing]:
    """Return a stream of six hours that ended an hour ago, as the matrix makes it."""
    found = payments.payments(Size(events, cards, 6 * HOUR_MS), until_ms=now_ms - HOUR_MS, seed=SEED)
    return stream.order(found, random.Random(SEED), PARTITIONS)
