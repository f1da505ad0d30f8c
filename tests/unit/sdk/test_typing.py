"""The pipeline file under `mypy --strict`, without a plugin: what is right passes, what is wrong is a type error."""

import re
from pathlib import Path

from mypy import api
from tests.unit.sdk.files import EVENTS, GROUP, LABEL, PIPELINE

HEAD = """\
from collections.abc import Sequence
from datetime import datetime
from typing import assert_type

from millrace import (
    Canary, Cells, CustomAggregate, Drift, Event, Expression, FeatureGroup, Field, FileSource, Label, LightGBM, Model,
    Pipeline, agg, column, derive, entity, event_id, event_time, field, minutes, refers_to, row_number,
)

"""
GOOD = """\
assert_type(Transaction.amount, Expression[float])
assert_type(Transaction.amount > 500, Expression[bool])
assert_type(CardSpend.n["24h"], Expression[int])
assert_type(CardSpend.mean["24h"].fill(1.0), Expression[float])
assert_type(Transaction(card="c").card, str)
assert_type(Transaction(card="c").ts, datetime)
assert_type(Transaction.merchant.fill("none") == "acme", Expression[bool])
assert_type(CardSpend.mean["last10"], Expression[float])
assert_type(Transaction.amount.clip(0, 1000).log1p(), Expression[float])
assert_type(Transaction.merchant.category("acme", "ajax"), Expression[int])
assert_type(Transaction.merchant.is_missing() | (Transaction.merchant.hash_bucket(64) == 3), Expression[bool])
class Swing(CustomAggregate):
    cells = 2
    @staticmethod
    def prepare(cells: Cells) -> None: ...
    @staticmethod
    def update(cells: Cells, value: float) -> None: ...
    @staticmethod
    def merge(cells: Cells, other: Cells) -> None: ...
    @staticmethod
    def finalize(cells: Cells) -> float: return cells[0]
    @staticmethod
    def oracle(values: Sequence[float]) -> float: return sum(values)
class CardHabits(FeatureGroup, on=Transaction, by=("card", "merchant")):
    seen = agg.count(Transaction.merchant).over("24h", last=10)
    shops = agg.distinct(Transaction.merchant).over("30d")
    spread = agg.std(Transaction.amount, where=Transaction.online).over("1h")
    p95 = agg.quantile(Transaction.amount, 0.95).over("24h")
    decay = agg.decayed_mean(Transaction.amount, half_life="6h")
    newest = agg.last(Transaction.amount, n=3).over("24h")
    own = agg.custom(Swing, Transaction.amount.log1p()).over("24h")
assert_type(CardHabits.shops["30d"], Expression[int])
assert_type(CardHabits.decay.fill(0), Expression[float])
assert_type(CardHabits.newest["2_24h"], Expression[float])
cards = Transaction.card.one_hot("a", "b")
busy = derive((CardSpend.n["1h"] >= 5) & Transaction.online | ~(1 - Transaction.items <= -2.5))
OTHER = Pipeline(
    "other",
    model=Model(
        view=[busy, CardSpend.n, CardSpend.last3[1], CardHabits.decay, cards],
        label=Fraud,
        estimator=LightGBM(num_leaves=7)
    ),
    rollout=Canary(5, 25, 50, 100),
    drift=Drift(budget="1 false page per 2000 windows"),
    source=FileSource(
        events=[
            Transaction.from_file(txn_id=row_number, ts=datetime(2024, 1, 1) + 30 * minutes * row_number, card="c"),
            Chargeback.from_file(where=column("class") == 1, txn_id=row_number, delay="30m"),
        ]
    ),
)
"""
BAD = """\
Transaction.card > 5
Transaction.amount > "5"
Transaction.card + 1
Transaction.ts > 5
agg.count(where=Transaction.card == 5)
agg.count(where=Transaction.amount)
agg.mean(Transaction.card)
CardSpend.mean[24]
CardSpend.mean["24h"].fill("none")
derive(Transaction.online & Transaction.amount)
Model(view=[Transaction.card], label=Fraud)
agg.decayed_sum(Transaction.amount, half_life="6h").over("1h")
agg.quantile(Transaction.amount, "half")
agg.custom(int, Transaction.amount)
Transaction.card.log1p()
Transaction.amount.category("a")
Transaction.amount.bucketise("1")
Model(view=[CardSpend], label=Fraud, score="sometimes")
class Wrong(Event):
    nested: Field[dict[str, int]]
    when: Field[str] = event_time()
    size: Field[bytes] = entity()
    name: Field[str] = field(pii="plain")
class Homeless(FeatureGroup, on=Transaction):
    pass
"""


def errors(folder: Path, text: str) -> set[int]:
    """Return the lines of `text` that mypy finds errors in."""
    file = folder / "pipeline.py"
    file.write_text(text)
    out, err, _ = api.run(["--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", str(file)])
    assert not err
    found = re.findall(r"pipeline\.py:(\d+): error: (.*)", out)
    return {int(line) for line, _ in found}


def test_a_right_file_type_checks_and_every_wrong_line_is_an_error(tmp_path: Path) -> None:
    """The declarations and expressions type-check as written; each wrong comparison, field and option is an error."""
    common = HEAD + EVENTS + GROUP + LABEL + PIPELINE
    assert errors(tmp_path, common + GOOD) == set()
    first = common.count("\n") + 1
    lines = [number for number, line in enumerate(BAD.splitlines(), first) if not line.endswith((":", "pass"))]
    homeless = next(number for number, line in enumerate(BAD.splitlines(), first) if "Homeless" in line)
    assert errors(tmp_path, common + BAD) == {*lines, homeless}
