"""A seeded stream of card payments and chargebacks with one planted change of concept.

Until the change, fraud is *the big purchase*: an amount several times the card's own mean. From payment `change_at` on,
fraudsters *test cards*: many small online payments in a short time, while big purchases are honest (a sale). Nothing
else changes: amounts, cards and merchants keep their distributions and fraud its share of about a sixth, so that only a
monitor which looks at labels can see it.

A chargeback follows its payment after half an hour to six hours of event time. The same seed gives the same bytes.

    python -m pipelines.fraud_stream --payments 20000 > fraud.jsonl
"""

import argparse
import heapq
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

HOUR_US = 3_600_000_000
Sent = dict[str, str | float | bool | int]
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, slots=True)
class FraudStream:
    """What the generator is told. Times are event times in microseconds."""

    payments: int = 60_000
    change_at: int = 12_000
    seed: int = 7
    start_us: int = START_US
    payments_per_hour: int = 200
    cards: int = 400
    merchants: int = 60

    @classmethod
    def ending_at(cls, end_us: int) -> "FraudStream":
        """Return the stream whose last chargeback lies just before a time, so that no event comes from the future."""
        usual = cls()
        return replace(usual, start_us=end_us - (usual.payments // usual.payments_per_hour + 7) * HOUR_US)

    @property
    def change_us(self) -> int:
        """Return the event time of the planted change."""
        return self.start_us + self.change_at * HOUR_US // self.payments_per_hour

    @property
    def change_event(self) -> Sent:
        """Return the first payment of the new concept."""
        return next(payment for n, (payment, _) in enumerate(self._payments()) if n == self.change_at)

    def __iter__(self) -> Iterator[Sent]:
        """Yield payments and chargebacks in order of event time, `ts` in milliseconds."""
        waiting: list[tuple[int, int, Sent]] = []
        for n, (payment, charged_back_us) in enumerate(self._payments()):
            at_us = int(payment["ts"]) * 1_000
            while waiting and waiting[0][0] <= at_us:
                yield heapq.heappop(waiting)[2]
            yield payment
            if charged_back_us is not None:
                chargeback = {"type": "chargeback", "txn_id": payment["txn_id"], "ts": charged_back_us // 1_000}
                heapq.heappush(waiting, (charged_back_us, n, chargeback))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _payments(self) -> Iterator[tuple[Sent, int | None]]:
        rng = np.random.default_rng(self.seed)
        habit = rng.lognormal(3.0, 0.5, self.cards)
        step_us = HOUR_US // self.payments_per_hour
        testing = 0
        card = 0
        for n in range(self.payments):
            at_us = self.start_us + n * step_us + int(rng.integers(step_us))
            if testing == 0:
                card = int(rng.integers(self.cards))
                testing = int(rng.integers(3, 7)) if rng.random() < 0.05 else 1
            in_burst = testing > 1
            big = not in_burst and rng.random() < 0.17
            amount = habit[card] * (rng.uniform(4.0, 9.0) if big else rng.uniform(0.3, 2.0))
            if in_burst:
                amount = habit[card] * rng.uniform(0.05, 0.25)
            odd = in_burst if n >= self.change_at else big
            fraud = rng.random() < (0.96 if odd else 0.02)
            payment: Sent = {
                "type": "transaction",
                "txn_id": f"t{self.seed}-{n}",
                "card": f"c{card}",
                "merchant": f"m{int(rng.integers(self.merchants))}",
                "amount": round(float(amount), 2),
                "online": bool(in_burst or rng.random() < 0.4),
                "ts": at_us // 1_000,
            }
            testing -= 1
            delay_us = int(rng.integers(HOUR_US // 2, 6 * HOUR_US))
            yield payment, (at_us + delay_us if fraud else None)


def main() -> None:
    """Write the stream to standard output, one JSON object a line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    usual = FraudStream()
    parser.add_argument("--payments", type=int, default=usual.payments)
    parser.add_argument("--change-at", type=int, default=usual.change_at)
    parser.add_argument("--seed", type=int, default=usual.seed)
    told = parser.parse_args()
    for event in FraudStream(payments=told.payments, change_at=told.change_at, seed=told.seed):
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")


if __name__ == "__main__":
    main()
