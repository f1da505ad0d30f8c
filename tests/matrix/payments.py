"""Seeded payments of many cards, a few of them busy, and the orders in which they come."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millrace_common.keys import partition_of
from millrace_common.records import Headers, Outgoing

LATENESS_MS = 300_000
SKEW = 0.6
SHOPS = 400
TYPE: Headers = (("ce_type", b"payment"),)


@dataclass(frozen=True)
class Payment:
    """One payment as its producer has it."""

    number: int
    card: str
    merchant: str
    amount: float | None
    ts_ms: int

    def sent(self, partition: int | None = None, correction: str | None = None) -> Outgoing:
        """Return it as it goes to raw-data: under its card, or without a key to any partition.

        `correction`: it is no new payment, but says of the one of its id what it should have been.
        """
        value = {
            "payment_id": f"p{self.number}",
            "card": self.card,
            "merchant": self.merchant,
            "amount": self.amount,
            "ts": self.ts_ms,
        }
        key = self.card.encode() if partition is None else None
        headers = TYPE if correction is None else (*TYPE, ("millrace-correction", correction.encode()))
        return Outgoing("raw-data", key, json.dumps(value).encode(), headers, partition)


@dataclass(frozen=True)
class Size:
    """How much of it there is."""

    events: int
    cards: int
    span_ms: int


def payments(size: Size, *, until_ms: int, seed: int) -> list[Payment]:
    """Return payments by time, no two in one millisecond; cards by Zipf's law."""
    rng = random.Random(seed)
    weights = list(itertools.accumulate((i + 1) ** -SKEW for i in range(size.cards)))
    times = sorted(rng.sample(range(until_ms - size.span_ms, until_ms), size.events))
    cards = rng.choices(range(size.cards), cum_weights=weights, k=size.events)
    return [Payment(i, f"c{cards[i]}", _shop(rng), _amount(rng), times[i]) for i in range(size.events)]


def _shop(rng: random.Random) -> str:
    return f"m{int(SHOPS * rng.random() ** 2)}"


def _amount(rng: random.Random) -> float | None:
    kind = rng.random()
    if kind < 0.03:
        return None
    return round(rng.lognormvariate(3, 1.2) * (-1 if kind < 0.06 else 1), 2)


Order = Callable[[Sequence[Payment], random.Random, int], list[Outgoing]]


def in_order(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send each when it happens."""
    return [event.sent() for event in events]


def shuffled(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send each up to the lateness bound after it happened."""
    return [event.sent() for event in _delayed(events, lambda: rng.randrange(LATENESS_MS))]


def late(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send one in ten later than the bound."""
    return [event.sent() for event in _delayed(events, lambda: _delay(rng))]


def duplicated(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send one in five again, up to ten minutes later."""
    doubled = [event for event in events if rng.random() < 0.2]
    again = [(event.ts_ms + rng.randrange(2 * LATENESS_MS), event) for event in doubled]
    both = [*((event.ts_ms, event) for event in events), *again]
    return [event.sent() for _, event in sorted(both, key=lambda timed: timed[0])]


def misplaced(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send one in five to a partition that is not its card's."""
    return [
        event.sent((partition_of(event.card, partitions) + 1) % partitions if rng.random() < 0.2 else None)
        for event in events
    ]


def mixed(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send them in any order, some too late, some twice."""
    sent = late(events, rng, partitions)
    return [one for one in sent for _ in range(2 if rng.random() < 0.1 else 1)]


def corrected(events: Sequence[Payment], rng: random.Random, partitions: int) -> list[Outgoing]:
    """Send them in any order; replace or withdraw one in eight, some of these twice, and some that never were."""
    timed = [(event.ts_ms + rng.randrange(LATENESS_MS), event.sent()) for event in events]
    for event in events:
        while rng.random() < 0.12:
            after_ms = rng.randrange(LATENESS_MS if rng.random() < 0.6 else 24 * LATENESS_MS)
            timed.append((event.ts_ms + after_ms, _correction(event, rng, partitions)))
        if rng.random() < 0.02:
            timed.append((event.ts_ms + rng.randrange(4 * LATENESS_MS), event.sent()))
    return [one for _, one in sorted(timed, key=lambda pair: pair[0])]


def _correction(event: Payment, rng: random.Random, partitions: int) -> Outgoing:
    """Return what corrects a payment, or one that never was; it states another shop, amount and time."""
    number = event.number if rng.random() < 0.9 else -event.number - 1
    ts_ms = event.ts_ms - rng.choice((0, 0, rng.randrange(2 * LATENESS_MS)))
    away = (partition_of(event.card, partitions) + 1) % partitions if rng.random() < 0.05 else None
    how = "withdraw" if rng.random() < 0.4 else "replace"
    return Payment(number, event.card, _shop(rng), _amount(rng), ts_ms).sent(away, how)


def _delay(rng: random.Random) -> int:
    return rng.randrange(LATENESS_MS) + (rng.randrange(4 * LATENESS_MS) if rng.random() < 0.1 else 0)


def _delayed(events: Sequence[Payment], delay: Callable[[], int]) -> list[Payment]:
    timed = [(event.ts_ms + delay(), event) for event in events]
    return [event for _, event in sorted(timed, key=lambda pair: pair[0])]
