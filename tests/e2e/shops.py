"""Card fraud with a second entity: what cards did and what shops took. Every topic and every kind of key is in use."""

from pipelines.fraud import CardSpend, Fraud, Transaction

from millrace import Drift, FeatureGroup, LightGBM, Model, Pipeline, Retrain, agg


class ShopTakings(FeatureGroup, on=Transaction, by="merchant"):
    """What a shop took before, from whatever cards."""

    n = agg.count().over("1h", "24h")
    mean = agg.mean(Transaction.amount).over("24h")
    last = agg.last(Transaction.amount)


PIPELINE = Pipeline(
    "shops",
    model=Model(
        view=[CardSpend, ShopTakings, Transaction.amount, Transaction.online],
        label=Fraud,
        estimator=LightGBM(num_leaves=15, min_data_in_leaf=20),
        bootstrap=1_000,
        train_rows=6_000,
        score="stream",
    ),
    drift=Drift(window="6h"),
    retrain=Retrain(on_performance=True, rows_min=1_000),
)
