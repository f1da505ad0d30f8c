"""The stated error rates of `non_inferior`, by seeded simulation."""

import numpy as np
import pytest

from millrace_gatekeeper.core.paired import Interval
from millrace_gatekeeper.core.quality import rule

MARGIN = 0.01
ERRORS = (0.002, 0.005, 0.01, 0.02, 0.04)
DRAWS = 5_000
QUANTILE = 1.6448536


def shares(true: float, error: float, *, true_other: float | None = None) -> dict[str, float]:
    """Return how often each ruling falls for a candidate that is truly better by `true` in both metrics."""
    rng = np.random.default_rng(7)
    both = rng.multivariate_normal((0, 0), ((1, 0.7), (0.7, 1)), size=DRAWS) * error
    both += (true, true if true_other is None else true_other)
    found = [
        rule({"auc": Interval(a, error, QUANTILE, 500), "accuracy": Interval(b, error, QUANTILE, 500)}, MARGIN)
        for a, b in both
    ]
    return {ruling: found.count(ruling) / DRAWS for ruling in ("pass", "fail", "inconclusive")}


@pytest.mark.parametrize("error", ERRORS)
def test_a_candidate_worse_by_twice_the_margin_seldom_passes(error: float) -> None:
    """However few or many the rows: at most one in fifteen passes."""
    assert shares(-2 * MARGIN, error)["pass"] <= 1 / 15


@pytest.mark.parametrize("error", ERRORS)
def test_a_candidate_worse_by_the_margin_passes_at_most_one_time_in_five(error: float) -> None:
    """The price of the rule that keeps a direct rollout moving, as the module states it."""
    assert shares(-MARGIN, error)["pass"] <= 0.2


@pytest.mark.parametrize("error", ERRORS)
def test_a_clearly_better_candidate_passes(error: float) -> None:
    """A gain of three standard errors replaces the champion nine times out of ten, also on few rows."""
    assert shares(3 * error, error)["pass"] >= 0.9


@pytest.mark.parametrize("error", ERRORS)
def test_an_equal_candidate_seldom_fails(error: float) -> None:
    """Without a difference a failure is a false one: at most one in twenty for each metric."""
    assert shares(0.0, error)["fail"] <= 0.1


def test_a_small_margin_of_error_decides_and_a_great_one_leaves_open() -> None:
    """An equal candidate passes on many rows; on few it stays open or passes, and hardly ever fails."""
    assert shares(0.0, 0.002)["pass"] >= 0.99
    assert shares(0.0, 0.04)["inconclusive"] >= 0.6


def test_one_metric_that_is_clearly_worse_fails_it() -> None:
    """A gain in ranking does not pay for a loss in decisions."""
    assert shares(0.05, 0.005, true_other=-0.05)["fail"] >= 0.99


def test_the_other_metric_can_carry_a_clearly_better_candidate() -> None:
    """Where the first straddles the margin, a sure gain in the other lets it pass."""
    differences = {"auc": Interval(0.0, 0.03, QUANTILE, 300), "accuracy": Interval(0.1, 0.03, QUANTILE, 300)}

    assert rule(differences, MARGIN) == "pass"
    assert rule({"auc": differences["auc"]}, MARGIN) == "inconclusive"
