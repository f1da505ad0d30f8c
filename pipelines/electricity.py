"""Electricity (Elec2): will the price in New South Wales go up? A real stream whose concept changes again and again.

The file has 45,312 half-hourly rows of 1996 to 1998 (Harries, 1999). The outcome of a row is an event of its own that
arrives half an hour later; only raw columns are used, since the price against its own daily mean is the label itself.
"""

from datetime import UTC, datetime

from millrace import (
    Drift,
    Event,
    Field,
    FileSource,
    Label,
    LightGBM,
    Model,
    Pipeline,
    Retrain,
    column,
    entity,
    event_id,
    event_time,
    field,
    minutes,
    refers_to,
    row_number,
)


class MarketRow(Event):
    """One half hour of the market; every number is scaled to [0, 1]."""

    row: Field[int] = event_id(dedupe="24h")
    market: Field[str] = entity()
    period: Field[float] = field(ge=0, le=1)
    nswprice: Field[float] = field(ge=0, le=1)
    nswdemand: Field[float] = field(ge=0, le=1)
    vicprice: Field[float] = field(ge=0, le=1)
    vicdemand: Field[float] = field(ge=0, le=1)
    transfer: Field[float] = field(ge=0, le=1)
    ts: Field[datetime] = event_time(lateness="1h")


class MarketOutcome(Event):
    """What became of it."""

    row: Field[int] = refers_to(MarketRow)
    price_went_up: Field[bool]
    ts: Field[datetime] = event_time()


PriceUp = Label(MarketRow, seen_in=MarketOutcome, value=MarketOutcome.price_went_up, matures_after="1d")

half_hour = datetime(1996, 5, 7, tzinfo=UTC) + 30 * minutes * row_number

PIPELINE = Pipeline(
    "electricity",
    model=Model(
        view=[
            MarketRow.period,
            MarketRow.nswprice,
            MarketRow.nswdemand,
            MarketRow.vicprice,
            MarketRow.vicdemand,
            MarketRow.transfer,
        ],
        label=PriceUp,
        estimator=LightGBM(num_leaves=15, min_data_in_leaf=20),
        bootstrap=1_000,
        train_rows=2_000,
        score="stream",
    ),
    drift=Drift(window="7d"),
    retrain=Retrain(on_performance=True, every_rows=1_000, rows_min=500),
    source=FileSource(
        events=[
            MarketRow.from_file(
                row=row_number,
                market="nsw",
                period=column("period"),
                nswprice=column("nswprice"),
                nswdemand=column("nswdemand"),
                vicprice=column("vicprice"),
                vicdemand=column("vicdemand"),
                transfer=column("transfer"),
                ts=half_hour,
            ),
            MarketOutcome.from_file(row=row_number, price_went_up=column("class") == 1, ts=half_hour, delay="30m"),
        ]
    ),
)
