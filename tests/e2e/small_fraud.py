"""The fraud pipeline, made small: trained after a minute of events, gated by what is certain; and two never trained."""

from datetime import datetime

from pipelines.fraud import CardSpend, Chargeback, Transaction, amount_ratio

from millrace import (
    Drift,
    Event,
    FeatureGroup,
    Field,
    Label,
    LightGBM,
    Lineage,
    Model,
    Parity,
    Pipeline,
    Retrain,
    Schema,
    agg,
    entity,
    event_id,
    event_time,
    refers_to,
)
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


class Visit(Event):
    """Somebody at a place. It is copied by place, to a topic on which payments have no business."""

    visit_id: Field[str] = event_id()
    visitor: Field[str] = entity()
    place: Field[str]
    ts: Field[datetime] = event_time()


class Return(Event):
    """The visitor came back."""

    visit_id: Field[str] = refers_to(Visit)
    ts: Field[datetime] = event_time()


class PlaceVisits(FeatureGroup, on=Visit, by="place"):
    """Who was at a place before."""

    n = agg.count().over("1h")


Returned = Label(Visit, seen_in=Return, value=True, default=False, matures_after="8h")
VISITS = Pipeline(
    "visits",
    model=Model(
        view=[PlaceVisits],
        label=Returned,
        bootstrap=NEVER,
    ),
    gates=GATES,
    drift=Drift(window="1h", rows_min=NEVER),
    retrain=Retrain(on_performance=False),
)
