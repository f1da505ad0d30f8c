"""Card fraud: payments as they happen, chargebacks hours later. `pipelines/fraud_stream.py` generates such a stream."""

from datetime import datetime

from millrace import (
    Drift,
    Event,
    FeatureGroup,
    Field,
    FileSource,
    Label,
    LightGBM,
    Model,
    Pipeline,
    Retrain,
    agg,
    column,
    derive,
    entity,
    event_id,
    event_time,
    field,
    milliseconds,
    refers_to,
)


class Transaction(Event):
    """A card payment."""

    txn_id: Field[str] = event_id(dedupe="24h")
    card: Field[str] = entity()
    merchant: Field[str] = field(pii="hash")
    amount: Field[float] = field(ge=0)
    online: Field[bool]
    ts: Field[datetime] = event_time(lateness="10m", max_future="30s")


class Chargeback(Event):
    """The truth, hours later."""

    txn_id: Field[str] = refers_to(Transaction)
    ts: Field[datetime] = event_time()


class CardSpend(FeatureGroup, on=Transaction, by="card"):
    """What a card did before."""

    n = agg.count().over("10m", "1h", "24h")
    mean = agg.mean(Transaction.amount).over("1h", "24h")
    most = agg.max(Transaction.amount).over("24h")
    online = agg.count(where=Transaction.online).over("1h")
    last2 = agg.last(Transaction.amount, n=2)


amount_ratio = derive(Transaction.amount / CardSpend.mean["24h"].fill(30.0))

Fraud = Label(Transaction, seen_in=Chargeback, value=True, default=False, matures_after="8h")

PIPELINE = Pipeline(
    "fraud",
    model=Model(
        view=[CardSpend, Transaction.amount, Transaction.online, amount_ratio],
        label=Fraud,
        estimator=LightGBM(num_leaves=15, min_data_in_leaf=20),
        bootstrap=3_000,
        train_rows=12_000,
        score="both",
    ),
    drift=Drift(window="6h", budget="1 false page per 2000 windows"),
    retrain=Retrain(on_performance=True, rows_min=1_500),
    source=FileSource(
        events=[
            Transaction.from_file(
                where=column("type") == "transaction",
                txn_id=column("txn_id"),
                card=column("card"),
                merchant=column("merchant"),
                amount=column("amount"),
                online=column("online"),
                ts=column("ts") * milliseconds,
            ),
            Chargeback.from_file(
                where=column("type") == "chargeback",
                txn_id=column("txn_id"),
                ts=column("ts") * milliseconds,
            ),
        ]
    ),
)
