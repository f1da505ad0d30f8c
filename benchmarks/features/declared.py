"""What the measured service computes, as a team would declare it; the sweeps widen it tenfold."""

import types
from datetime import datetime

from millrace import (  # fmt: skip
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

WINDOWS = ("1m", "1h", "24h")
MANY_WINDOWS = tuple(f"{minutes}m" for minutes in (1, 2, 3, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 90, 120, 150, 180, 240, 300, 360, 480, 600, 720, 840, 960, 1_080, 1_260, 1_440))  # fmt: skip  # noqa: E501


class Transaction(Event):
    """A card payment."""

    txn_id: Field[str] = event_id(dedupe="24h")
    card: Field[str] = entity()
    merchant: Field[str]
    amount: Field[float] = field(ge=0)
    country: Field[str]
    currency: Field[str]
    terminal: Field[str]
    ts: Field[datetime] = event_time(lateness="10m", max_future="30s")


class Chargeback(Event):
    """The truth about a payment; none comes here."""

    txn_id: Field[str] = refers_to(Transaction)
    ts: Field[datetime] = event_time()


class CardSpend(FeatureGroup, on=Transaction, by="card"):
    """Three windows of three aggregates: what every driver computes."""

    n = agg.count().over(*WINDOWS)
    mean = agg.mean(Transaction.amount).over(*WINDOWS)
    most = agg.max(Transaction.amount).over(*WINDOWS)


class Counts(FeatureGroup, on=Transaction, by="card"):
    """The first of three groups that are read together."""

    n = agg.count().over(*WINDOWS)


class Means(FeatureGroup, on=Transaction, by="card"):
    """The second."""

    mean = agg.mean(Transaction.amount).over(*WINDOWS)


class Maxima(FeatureGroup, on=Transaction, by="card"):
    """The third."""

    most = agg.max(Transaction.amount).over(*WINDOWS)


class ManyWindows(FeatureGroup, on=Transaction, by="card"):
    """Ten times the windows of CardSpend, from one minute to a day."""

    n = agg.count().over(*MANY_WINDOWS)
    mean = agg.mean(Transaction.amount).over(*MANY_WINDOWS)
    most = agg.max(Transaction.amount).over(*MANY_WINDOWS)


class LongWindows(FeatureGroup, on=Transaction, by="card"):
    """CardSpend with windows ten times as long."""

    n = agg.count().over("10m", "10h", "10d")
    mean = agg.mean(Transaction.amount).over("10m", "10h", "10d")
    most = agg.max(Transaction.amount).over("10m", "10h", "10d")


def _ten_times() -> type[FeatureGroup]:
    """Return a group of ten times the features: the aggregates of CardSpend, each behind ten thresholds."""
    features: dict[str, object] = {}
    for i in range(10):
        above = Transaction.amount > 100.0 + 50 * i
        features[f"n{i}"] = agg.count(where=above).over(*WINDOWS)
        features[f"mean{i}"] = agg.mean(Transaction.amount, where=above).over(*WINDOWS)
        features[f"most{i}"] = agg.max(Transaction.amount, where=above).over(*WINDOWS)
    body = {"__module__": __name__, "__doc__": "Ten times the features of CardSpend.", **features}
    return types.new_class(
        "ManyFeatures", (FeatureGroup,), {"on": Transaction, "by": "card"}, lambda names: names.update(body)
    )


Fraud = Label(Transaction, seen_in=Chargeback, value=True, default=False, matures_after="8h")


def _pipeline(name: str, *groups: type[FeatureGroup]) -> Pipeline:
    return Pipeline(name, model=Model(view=list(groups), label=Fraud, estimator=Logistic(), score="request"))


BASE = _pipeline("base", CardSpend)
THREE_GROUPS = _pipeline("three_groups", Counts, Means, Maxima)
WINDOWS_X10 = _pipeline("windows_x10", ManyWindows)
LENGTH_X10 = _pipeline("length_x10", LongWindows)
FEATURES_X10 = _pipeline("features_x10", _ten_times())
