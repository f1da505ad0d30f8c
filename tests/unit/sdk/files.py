"""Pipeline files for tests: a whole small one, and parts to change in it."""

from pathlib import Path

HEAD = """\
from datetime import UTC, datetime
from millrace import *
"""
EVENTS = """\
class Transaction(Event):
    txn_id: Field[str] = event_id(dedupe="24h")
    card: Field[str] = entity()
    merchant: Field[str | None] = field(pii="hash")
    amount: Field[float] = field(ge=0)
    items: Field[int]
    online: Field[bool]
    ts: Field[datetime] = event_time(lateness="10m", max_future="30s")

class Chargeback(Event):
    txn_id: Field[str] = refers_to(Transaction)
    ts: Field[datetime] = event_time()

"""
GROUP = """\
class CardSpend(FeatureGroup, on=Transaction, by="card"):
    n = agg.count().over("1m", "1h", "24h")
    mean = agg.mean(Transaction.amount).over("1m", "1h", "24h")
    big = agg.count(where=Transaction.amount > 500).over("1h")
    last3 = agg.last(Transaction.amount, n=3)

amount_ratio = derive(Transaction.amount / CardSpend.mean["24h"].fill(1.0))
"""
LABEL = """\
Fraud = Label(Transaction, seen_in=Chargeback, value=True, default=False, matures_after="45d")
"""
PIPELINE = """\
PIPELINE = Pipeline("fraud", model=Model(view=[CardSpend, Transaction.amount, amount_ratio], label=Fraud))
"""
WHOLE = HEAD + EVENTS + GROUP + LABEL + PIPELINE


def written(folder: Path, text: str, name: str = "fraud.py") -> str:
    """Write a pipeline file and return how to name its pipeline."""
    (folder / name).write_text(text)
    return f"{folder / name}:PIPELINE"
