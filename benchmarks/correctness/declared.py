"""What the features service is asked for: the hour before a payment and the payment itself."""

from tests.matrix.pipeline import Chargeback, Payment

from millrace import FeatureGroup, Label, Logistic, Model, Pipeline, agg


class Hour(FeatureGroup, on=Payment, by="card"):
    """Count, sum and maximum; the payment itself counts, as it does in the windows of the peers."""

    count = agg.count(include_current=True).over("1h")
    total = agg.sum(Payment.amount, include_current=True).over("1h")
    most = agg.max(Payment.amount, include_current=True).over("1h")


Fraud = Label(Payment, seen_in=Chargeback, value=True, default=False, matures_after="1h")
PIPELINE = Pipeline("hour", model=Model(view=[Hour], label=Fraud, estimator=Logistic(), score="request"))
