"""Every aggregate on one stream of payments: over a short window and a long one, and over the newest events."""

from datetime import datetime

from tests.fakes.customs import Swing

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
    field,
    refers_to,
)


class Payment(Event):
    """A card payment; a refund is negative."""

    payment_id: Field[str] = event_id(dedupe="1h")
    card: Field[str] = entity()
    merchant: Field[str]
    amount: Field[float | None] = field()
    ts: Field[datetime] = event_time(lateness="5m")


class Chargeback(Event):
    """The truth, later."""

    payment_id: Field[str] = refers_to(Payment)
    ts: Field[datetime] = event_time()


class Windows(FeatureGroup, on=Payment, by="card"):
    """Every aggregate that looks back over time."""

    n = agg.count().over("5m", "1h")
    n_big = agg.count(where=Payment.amount > 50).over("1h")
    total = agg.sum(Payment.amount).over("5m", "1h")
    mean = agg.mean(Payment.amount).over("5m", "1h")
    least = agg.min(Payment.amount).over("5m", "1h")
    most = agg.max(Payment.amount).over("5m", "1h")
    var = agg.var(Payment.amount).over("1h")
    std = agg.std(Payment.amount).over("1h")
    first = agg.first(Payment.amount).over("1h")
    shops = agg.distinct(Payment.merchant).over("5m", "1h")
    median = agg.quantile(Payment.amount, 0.5).over("5m", "1h")
    high = agg.quantile(Payment.amount, 0.95, include_current=True).over("1h")
    decayed = agg.decayed_sum(Payment.amount, half_life="2m")
    faded = agg.decayed_mean(Payment.amount, half_life="2m")
    rate = agg.rate().over("5m", "1h")
    ratio = agg.ratio(Payment.amount).over("1h")
    swing = agg.custom(Swing, Payment.amount).over("5m", "1h")


class Newest(FeatureGroup, on=Payment, by="card"):
    """Every aggregate that looks back over events."""

    last = agg.last(Payment.amount, n=3)
    since = agg.time_since_last()
    since_big = agg.time_since_last(where=Payment.amount > 50)
    mean = agg.mean(Payment.amount).over(last=20)
    shops = agg.distinct(Payment.merchant).over(last=64)


Fraud = Label(Payment, seen_in=Chargeback, value=True, default=False, matures_after="1h")

PIPELINE = Pipeline(
    "every",
    model=Model(view=[Windows, Newest, Payment.amount], label=Fraud, estimator=LightGBM()),
)
