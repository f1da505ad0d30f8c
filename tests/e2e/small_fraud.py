"""The fraud pipeline, made small: trained after a minute of events, gated by what is certain; and one never trained."""

from pipelines.fraud import CardSpend, Chargeback, Transaction, amount_ratio

from millrace import Drift, Label, LightGBM, Lineage, Model, Parity, Pipeline, Retrain, Schema
from millrace.models import ViewItem

Charged = Label(Transaction, seen_in=Chargeback, value=True, default=False, matures_after="8h")
VIEW: list[ViewItem] = [CardSpend, Transaction.amount, Transaction.online, amount_ratio]
GATES = [Lineage(), Schema(), Parity()]
NEVER = 1_000_000_000

PIPELINE = Pipeline(
    "fraud",
    model=Model(
        view=VIEW,
        label=Charged,
        estimator=LightGBM(num_leaves=7, n_estimators=20, min_data_in_leaf=20),
        bootstrap=600,
        score="both",
    ),
    gates=GATES,
    drift=Drift(window="1h", rows_min=NEVER),
    retrain=Retrain(on_performance=False),
)
UNTRAINED = Pipeline(
    "untrained",
    model=Model(view=VIEW, label=Charged, bootstrap=NEVER, score="both"),
    gates=GATES,
    drift=Drift(window="1h", rows_min=NEVER),
    retrain=Retrain(on_performance=False),
)
