"""The description of a deployment: plain JSON that says what each service does with it."""

import json
from pathlib import Path

import pytest
from tests.unit.sdk.files import WHOLE, written

from millrace.catalog import feature_text
from millrace.describe import describe
from millrace.loading import load
from millrace.spec import Const, Expr, FeatureRef, FeatureSpec, FieldRef, Op
from millrace.wording import expression_text

AMOUNT = FieldRef("sale", "amount", "float")
MEAN = FeatureRef("CardSpend", "mean_24h")


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Op("div", (AMOUNT, Op("fill", (MEAN, Const(1.0))))), "amount / CardSpend.mean_24h.fill(1.0)"),
        (Op("mul", (Op("add", (AMOUNT, Const(1))), Op("neg", (MEAN,)))), "(amount + 1) * (-CardSpend.mean_24h)"),
        (Op("not", (Op("eq", (AMOUNT, Const("x"))),)), "not (amount == 'x')"),
        (Op("fill", (Op("sub", (AMOUNT, MEAN)), Const(0))), "(amount - CardSpend.mean_24h).fill(0)"),
        (Op("log1p", (Op("clip", (AMOUNT, Const(0), Const(9.5))),)), "amount.clip(0, 9.5).log1p()"),
        (Op("is_missing", (Op("neg", (AMOUNT,)),)), "(-amount).is_missing()"),
        (Op("category", (AMOUNT, Const("a"), Const("b"))), "amount.category('a', 'b')"),
        (Op("bucketise", (AMOUNT, Const(1), Const(2), Const(3))), "amount.bucketise(1, 2, 3)"),
    ],
)
def test_an_expression_reads_as_it_was_written(expr: Expr, text: str) -> None:
    """Expressions are shown in the words and signs of the pipeline file."""
    assert expression_text(expr) == text


def test_a_description_is_json_and_complete(tmp_path: Path) -> None:
    """Every event, group, feature, column and service stands in the description, and it is plain JSON."""
    deployment = load([written(tmp_path, WHOLE)])
    found = describe(deployment)
    assert json.loads(json.dumps(found)) == found
    assert found["hash"] == deployment.hash
    assert [event["type"] for event in found["events"]] == ["chargeback", "transaction"]
    (group,) = found["groups"]
    assert group["reads"] == "raw-data"
    assert group["events_kept"] == "the newest 64"
    assert group["bytes_per_event"] == 8 * (2 + 2)
    big = next(feature for feature in group["features"] if feature["name"] == "big_1h")
    assert (big["what"], big["where"], big["window"]) == ("count()", "amount > 500", "1h")
    assert (big["tile"], big["exact"]) == ("5m", "up to 64 events in the window, then edge <= 5m")
    (pipeline,) = found["pipelines"]
    assert pipeline["view"]["columns"][-1] == {
        "name": "amount_ratio",
        "type": "float",
        "from": "derived",
        "is": "amount / CardSpend.mean_24h.fill(1.0)",
    }
    assert [service["service"] for service in found["services"]] == [
        *("ingest", "features", "trainer", "gatekeeper", "serving", "monitor")
    ]


def test_a_group_of_another_entity_reads_copies(tmp_path: Path) -> None:
    """A group by another field than the event's entity is shown with the topic of copies that features writes."""
    text = WHOLE.replace('by="card"', 'by="items"')
    found = describe(load([written(tmp_path, text)]))
    assert found["groups"][0]["reads"] == "raw-data.by-items"
    features = next(service for service in found["services"] if service["service"] == "features")
    assert "raw-data.by-items" in features["reads"]
    assert "raw-data.by-items" in features["writes"]


HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("feature", "what", "window", "exact", "sketch"),
    [
        (
            FeatureSpec("x", "mean", AMOUNT, None, events=10),
            "mean(amount)",
            "last 10 events",
            "newest 64 events",
            False,
        ),
        (FeatureSpec("x", "last", AMOUNT, None, n=2), "last(amount, 2 back)", None, "newest 64 events", False),
        (FeatureSpec("x", "last", AMOUNT, HOUR_US), "last(amount, 1 back)", "1h", "among the newest 64 events", False),
        (FeatureSpec("x", "time_since_last", None, None), "time_since_last()", None, "newest 64 events", False),
        (FeatureSpec("x", "distinct", AMOUNT, 24 * HOUR_US), "distinct(amount)", "1d", "edge <= 2h", True),
        (FeatureSpec("x", "quantile", AMOUNT, 12 * HOUR_US, q=0.95), "quantile(amount, 0.95)", "12h", "<= 1h", True),
        (
            FeatureSpec("x", "decayed_sum", AMOUNT, 32 * HOUR_US, half_life_us=HOUR_US),
            "decayed_sum(amount, half-life 1h)",
            "32h",
            "edge of weight 2^-32",
            False,
        ),
        (FeatureSpec("x", "custom", AMOUNT, HOUR_US, custom="shop:Swing"), "Swing(amount)", "1h", "<= 5m", False),
    ],
)
def test_a_feature_says_over_what_it_is_and_how_exact(
    feature: FeatureSpec, what: str, window: str | None, exact: str, sketch: bool
) -> None:
    """Window, edge and the error of a sketch are stated; what looks at the newest events alone has no tiles."""
    found = feature_text(feature)
    assert (found["what"], found["window"]) == (what, window)
    assert found["exact"].endswith(exact)
    assert (found["sketch"] is not None) is sketch
