"""The description of a deployment: plain JSON that says what each service does with it."""

import json
from pathlib import Path

import pytest
from tests.unit.sdk.files import WHOLE, written

from millrace.describe import describe, expression_text
from millrace.loading import load
from millrace.spec import Const, Expr, FeatureRef, FieldRef, Op

AMOUNT = FieldRef("sale", "amount", "float")
MEAN = FeatureRef("CardSpend", "mean_24h")


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Op("div", (AMOUNT, Op("fill", (MEAN, Const(1.0))))), "amount / CardSpend.mean_24h.fill(1.0)"),
        (Op("mul", (Op("add", (AMOUNT, Const(1))), Op("neg", (MEAN,)))), "(amount + 1) * (-CardSpend.mean_24h)"),
        (Op("not", (Op("eq", (AMOUNT, Const("x"))),)), "not (amount == 'x')"),
        (Op("fill", (Op("sub", (AMOUNT, MEAN)), Const(0))), "(amount - CardSpend.mean_24h).fill(0)"),
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
    assert group["events_kept"] == "those of 1d and 10m of lateness and the last 3"
    assert group["bytes_per_event"] == 8 * 3
    big = next(feature for feature in group["features"] if feature["name"] == "big_1h")
    assert (big["what"], big["where"], big["window"]) == ("count()", "amount > 500", "1h")
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
