"""The market of Electricity with the one feature that its label is made of: the mean price of the day before."""

from pipelines.electricity import MarketOutcome, MarketRow, PriceUp

from millrace import FeatureGroup, LightGBM, Model, Pipeline, agg

__all__ = ["PIPELINE", "Day", "MarketOutcome", "MarketRow"]


class Day(FeatureGroup, on=MarketRow, by="market"):
    """The price in the 24 hours before a row."""

    mean = agg.mean(MarketRow.nswprice).over("24h")


PIPELINE = Pipeline(
    "day", model=Model(view=[Day, MarketRow.nswprice], label=PriceUp, estimator=LightGBM(), score="stream")
)
