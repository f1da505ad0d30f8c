"""Metrics, splits and definitions."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from tests.fakes.trainer import deployment

from millrace.spec import Const, FeatureRef, FieldRef, Op
from millrace_common.errors import Refused
from millrace_trainer.core.definition import expr_json, expr_of, view_json, view_of
from millrace_trainer.core.metrics import auc, measure
from millrace_trainer.core.reference import golden_rows
from millrace_trainer.core.splits import describe, split


def test_metrics_agree_with_scikit_learn() -> None:
    """AUC (with ties) and log loss are the known ones, inside their intervals."""
    rng = np.random.default_rng(0)
    truths = (rng.random(500) < 0.3).astype(np.int8)
    scores = np.round(np.clip(truths * 0.2 + rng.random(500) * 0.8, 0, 1), 2).astype(np.float64)
    measured = measure(scores, truths, threshold=0.5)
    assert measured["auc"].value == pytest.approx(roc_auc_score(truths, scores), abs=1e-6)
    assert measured["log_loss"].value == pytest.approx(log_loss(truths, np.clip(scores, 1e-7, 1 - 1e-7)), abs=1e-6)
    assert measured["accuracy"].value == pytest.approx(((scores >= 0.5) == truths).mean())
    assert measured["majority"].value == pytest.approx(1 - truths.mean(), abs=1e-6)
    for metric in measured.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high
        assert metric.n == 500


def test_the_auc_interval_covers() -> None:
    """DeLong's 95 % interval holds the true AUC (0.7602 for a unit shift) in about 95 of 100 samples."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        truths = (np.arange(200) % 2).astype(np.int8)
        metric = auc(rng.normal(size=200) + truths, truths)
        assert metric.low is not None
        assert metric.high is not None
        covered += metric.low <= 0.7602 <= metric.high
    assert 275 <= covered <= 298


def test_one_class_has_no_auc() -> None:
    """Where a split holds one class there is no AUC rather than a made-up one."""
    assert "auc" not in measure(np.array([0.1, 0.2]), np.array([0, 0], np.int8), threshold=0.5)


def test_splits_are_by_time_and_part_no_instant() -> None:
    """fit is before tune is before gate; rows of one instant stay together."""
    times = np.repeat(np.arange(20), 7)
    parts = split(times, tune_share=0.15, gate_share=0.2)
    assert parts["fit"].start == 0
    assert parts["gate"].stop == 140
    for left, right in (("fit", "tune"), ("tune", "gate")):
        assert parts[left].stop == parts[right].start
        assert times[parts[left].stop - 1] < times[parts[right].start]
    described = describe(times, parts)
    assert sum(part.n for part in described.values()) == 140
    assert described["gate"].to_us == 19


@pytest.mark.parametrize("times", [np.arange(30), np.zeros(500, np.int64), np.zeros(0, np.int64)])
def test_too_few_rows_are_refused(times: np.ndarray) -> None:
    """A split of fewer than ten rows is refused, saying how many there are."""
    with pytest.raises(Refused, match="too-few-rows"):
        split(times, tune_share=0.15, gate_share=0.2)


def test_a_view_survives_json() -> None:
    """The definition in a record is the one that compiled."""
    view = deployment().models["fraud"].view
    assert view_of(view_json(view)) == view
    expr = Op("fill", (FeatureRef("G", "n"), Op("gt", (FieldRef("e", "x", "float"), Const(None)))))
    assert expr_of(expr_json(expr)) == expr
    with pytest.raises(ValueError, match="not an expression"):
        expr_of({"op": "neg"})


def test_golden_rows_hold_the_extremes() -> None:
    """All missing first, then zeros, least, middle and greatest; a column that is always missing does no harm."""
    x = np.array([[1, np.nan], [5, np.nan], [3, np.nan]], np.float32)
    golden = golden_rows(x)
    assert np.isnan(golden[0]).all()
    assert golden[1:5, 0].tolist() == [0, 1, 3, 5]
    assert golden.dtype == np.float32
    assert len(golden) == 8
