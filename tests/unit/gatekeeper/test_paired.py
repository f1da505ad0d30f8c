"""The statistics of the gates against slow oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from millrace_gatekeeper.core.paired import accuracy, auc, clusters_of, interval


def scored(seed: int, n: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and the scores of two related models."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.3
    labels[:2], labels[2:4] = True, False
    first = labels + rng.normal(size=n)
    second = 0.7 * first + 0.7 * rng.normal(size=n)
    return (labels, np.round(first, 1), np.round(second, 1)) if ties else (labels, first, second)


@given(st.integers(0, 10_000), st.integers(6, 80), st.booleans())
def test_the_auc_is_that_of_scikit_learn(seed: int, n: int, ties: bool) -> None:
    """Midranks count a tie as half, at any size."""
    labels, scores, _ = scored(seed, n, ties=ties)

    assert auc(labels, scores).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def slow_delong(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Return DeLong's standard error of the difference of two AUCs, from all pairs (DeLong et al. 1988)."""

    def placements(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positive, negative = scores[labels][:, None], scores[~labels][None, :]
        wins = (positive > negative) + 0.5 * (positive == negative)
        return wins.mean(axis=1), wins.mean(axis=0)

    (v10, v01), (w10, w01) = placements(first), placements(second)
    return float(np.sqrt(np.var(v10 - w10, ddof=1) / len(v10) + np.var(v01 - w01, ddof=1) / len(v01)))


@given(st.integers(0, 10_000), st.integers(8, 120), st.booleans())
def test_the_error_of_a_difference_is_delongs(seed: int, n: int, ties: bool) -> None:
    """With every row a cluster of its own the variance is DeLong's, from all pairs of rows."""
    labels, first, second = scored(seed, n, ties=ties)

    found = interval(auc(labels, first) - auc(labels, second), np.arange(n))

    assert found.error == pytest.approx(slow_delong(labels, first, second), rel=1e-9, abs=1e-12)


def test_the_error_agrees_with_the_bootstrap() -> None:
    """Resampling the rows spreads the difference as far as the formula says."""
    labels, first, second = scored(1, 600)
    rng = np.random.default_rng(2)
    draws = []
    for _ in range(600):
        rows = rng.integers(0, len(labels), len(labels))
        draws.append(roc_auc_score(labels[rows], first[rows]) - roc_auc_score(labels[rows], second[rows]))

    found = interval(auc(labels, first) - auc(labels, second), np.arange(len(labels)))

    assert found.error == pytest.approx(np.std(draws), rel=0.12)


@pytest.mark.parametrize("metric", ["auc", "accuracy"])
def test_the_clustered_error_agrees_with_a_bootstrap_of_entities(metric: str) -> None:
    """Rows of one entity err together: whole entities are resampled, and the formula follows."""
    rng = np.random.default_rng(3)
    entities = np.repeat(np.arange(80), 12)
    labels = rng.random(960) < 0.4
    scores = labels + rng.normal(size=80)[entities] + 0.5 * rng.normal(size=960)

    def estimate(rows: np.ndarray) -> float:
        if metric == "auc":
            return float(roc_auc_score(labels[rows], scores[rows]))
        return float((labels[rows] == (scores[rows] > 0.5)).mean())

    places = [np.flatnonzero(entities == entity) for entity in range(80)]
    draws = [estimate(np.concatenate([places[e] for e in rng.integers(0, 80, 80)])) for _ in range(600)]
    found = auc(labels, scores) if metric == "auc" else accuracy(labels, scores > 0.5)

    assert interval(found, entities).error == pytest.approx(np.std(draws), rel=0.15)
    assert interval(found, np.arange(960)).error < 0.75 * np.std(draws), "rows alone would claim too much"


def test_few_entities_are_cut_into_blocks_of_time() -> None:
    """One market is no cluster: consecutive rows by time are, about the cube root of n together."""
    times = np.random.default_rng(0).permutation(1_000).astype(np.int64)

    blocks = clusters_of(np.array(["nsw"] * 1_000), times)

    assert blocks.max() + 1 == 100
    assert all(np.ptp(times[blocks == block]) < 10 for block in range(100))


def test_many_entities_are_the_clusters() -> None:
    """Rows of one entity share a cluster, wherever they lie in time."""
    entities = np.array([f"e{i % 40}" for i in range(400)])

    clusters = clusters_of(entities, np.arange(400))

    assert len(set(zip(entities.tolist(), clusters.tolist(), strict=True))) == 40


def test_rows_needed_is_what_brings_the_bound_to_the_limit() -> None:
    """With as many rows as it says the bound meets the limit, were nothing else to change."""
    labels, first, second = scored(4, 300)
    found = interval(auc(labels, first) - auc(labels, second), np.arange(300))
    n = found.rows_needed(-0.01)
    assert n is not None

    scaled = found.error * np.sqrt(300 / n) * found.quantile

    assert abs(found.value + 0.01) == pytest.approx(scaled, rel=0.01)


def test_identical_models_differ_by_nothing_for_sure() -> None:
    """The paired error of a model against itself is zero, and no number of rows is asked for."""
    labels, first, _ = scored(5, 200)

    found = interval(auc(labels, first) - auc(labels, first), np.arange(200))

    assert (found.value, found.error, found.low) == (0.0, 0.0, 0.0)
    assert found.rows_needed(-0.01) is None
