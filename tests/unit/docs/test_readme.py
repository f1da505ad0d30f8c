"""What the README shows of a pipeline file loads."""

import re
import sys
from pathlib import Path

import pytest

from millrace.loading import load
from millrace_engine.entity import compile_entity

ROOT = Path(__file__).parents[3]
REST = """

class Refund(Event):
    order_id: Field[str] = refers_to(Order)
    ts: Field[datetime] = event_time()


Refunded = Label(Order, seen_in=Refund, value=True, default=False, matures_after="30d")
PIPELINE = Pipeline("orders", model=Model(view=[CustomerOrders, country], label=Refunded))
"""


def test_the_features_of_the_readme_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the imports of the pipeline that ships and a label they are a pipeline file, and the engine knows all."""
    [shown] = re.findall(r"## Features\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    imports, _, _ = (ROOT / "pipelines" / "fraud.py").read_text().partition("\n\n\nclass ")
    (tmp_path / "readme_orders.py").write_text(imports + "\n\n\n" + shown + REST)
    monkeypatch.syspath_prepend(tmp_path)
    deployment = load(["readme_orders:PIPELINE"])
    del sys.modules["readme_orders"]
    plan = compile_entity(deployment, "customer")

    assert [feature.name for feature in plan.features] == [
        *("shops_24h", "shops_30d", "median_30d", "median_last10", "large_24h", "recent", "ratio_30d")
    ]
    assert [column.name for column in deployment.models["orders"].view.columns][-1] == "country"
