"""Payments, their cards and merchants, and chargebacks: a pipeline file as a team writes it."""

from datetime import datetime

from millrace import (
    Event,
    FeatureGroup,
    Field,
    Label,
    LightGBM,
    Model,
    Pipeline,
    agg,
    entity,
    event_id,
    event_time,
    refers_to,
)


class Payment(Event):
    """A card payment."""

    payment_id: Field[str] = event_id(dedupe="1h")
    card: Field[str] = entity()
    merchant: Field[str]
    amount: Field[float]
    ts: Field[datetime] = event_time(lateness="10s", max_future="30s")


class Chargeback(Event):
    """The truth, later."""

    payment_id: Field[str] = refers_to(Payment)
    ts: Field[datetime] = event_time()


class CardSpend(FeatureGroup, on=Payment, by="card"):
    """What a card did."""

    n = agg.count().over("7s", "1m")
    total = agg.sum(Payment.amount).over("1m")
    big = agg.count(where=Payment.amount > 5).over("1m")
    last2 = agg.last(Payment.amount, n=2)


class ShopTakings(FeatureGroup, on=Payment, by="merchant"):
    """What a merchant took."""

    n = agg.count().over("1m")
    mean = agg.mean(Payment.amount).over("1m")


Fraud = Label(Payment, seen_in=Chargeback, value=True, default=False, matures_after="1h")

PIPELINE = Pipeline(
    "payments",
    model=Model(view=[CardSpend, ShopTakings, Payment.amount], label=Fraud, estimator=LightGBM()),
)
