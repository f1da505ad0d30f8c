"""The peers' own state of a card in plain Python: three sliding windows, and the ids that were seen."""

import struct
from collections import OrderedDict, deque

import msgspec

WINDOWS_MS = {"1m": 60_000, "1h": 3_600_000, "24h": 86_400_000}
IDS_MAX = 1_024
_VALUE = struct.Struct("<Qq9d")


class Payment(msgspec.Struct, gc=False):
    """The part of an event that the job needs."""

    txn_id: str
    card: str
    amount: float
    ts: int


class Window:
    """Count, mean and maximum over a sliding window, each step in amortised constant time."""

    __slots__ = ("maxima", "payments", "total", "width_ms")

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self.total = 0.0
        self.payments: deque[tuple[int, float]] = deque()
        self.maxima: deque[tuple[int, float]] = deque()

    def at(self, ts: int) -> tuple[float, float, float]:
        """Return count, mean and maximum of what lies in [ts - width, ts); 0 where there is none."""
        oldest, payments, maxima = ts - self.width_ms, self.payments, self.maxima
        while payments and payments[0][0] < oldest:
            self.total -= payments.popleft()[1]
        while maxima and maxima[0][0] < oldest:
            maxima.popleft()
        count = len(payments)
        return count, self.total / count if count else 0.0, maxima[0][1] if maxima else 0.0

    def add(self, ts: int, amount: float) -> None:
        """Take a payment in."""
        self.payments.append((ts, amount))
        self.total += amount
        maxima = self.maxima
        while maxima and maxima[-1][1] <= amount:
            maxima.pop()
        maxima.append((ts, amount))


class Card:
    """One card: its windows and its newest ids."""

    __slots__ = ("ids", "windows")

    def __init__(self) -> None:
        self.ids: OrderedDict[str, None] = OrderedDict()
        self.windows = tuple(Window(width) for width in WINDOWS_MS.values())

    def is_repeated(self, txn_id: str) -> bool:
        """Say whether the id was seen, and keep it."""
        ids = self.ids
        if txn_id in ids:
            return True
        ids[txn_id] = None
        if len(ids) > IDS_MAX:
            ids.popitem(last=False)
        return False

    def step(self, payment: Payment) -> list[float]:
        """Return the nine features at a payment, then take it in."""
        values: list[float] = []
        for window in self.windows:
            values += window.at(payment.ts)
            window.add(payment.ts, payment.amount)
        return values


def stored(offset: int, ts: int, values: list[float]) -> bytes:
    """Return what goes to Redis for a card."""
    return _VALUE.pack(offset, ts, *values)


def row(payment: Payment, values: list[float]) -> bytes:
    """Return the row of an event."""
    return msgspec.json.encode(
        {"card": payment.card, "event_id": payment.txn_id, "event_time_ms": payment.ts, "features": values}
    )
