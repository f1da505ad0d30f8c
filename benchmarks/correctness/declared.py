"""What the features service is asked for: the hour before a payment and the payment itself."""

from datetime import datetime

from millrace import (
    Event,
    FeatureGroup,
    Field,
    Label,
    Logistic,
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
    """The truth about a payment; none comes here."""

    payment_id: Field[str] = refers_to(Payment)
    ts: Field[datetime] = event_time()


class Hour(FeatureGroup, on=Payment, by="card"):
    """Count, sum and maximum; the payment itself counts, as it does in the windows of the peers."""

    count = agg.count(include_current=True).over("1h")
    total = agg.sum(Payment.amount, include_current=True).over("1h")
    most = agg.max(Payment.amount, include_current=True).over("1h")


Fraud = Label(Payment, seen_in=Chargeback, value=True, default=False, matures_after="1h")
PIPELINE = Pipeline("hour", model=Model(view=[Hour], label=Fraud, estimator=Logistic(), score="request"))
