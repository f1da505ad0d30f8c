"""The gates on how well a candidate scores: as its native model did, above a floor, no worse than the champion.

The rule of `non_inferior`, stated. Let d be how much better the candidate is than the champion on the same rows, and
low and high its one-sided 95 % bounds, by AUC and by accuracy:

    fail          either is clearly worse: high < -margin
    pass          the AUC (accuracy, where the gate rows hold one class only) is no worse: low > -margin;
                  or it is better as measured and not far worse for sure: d > 0 and low > -2 margin;
                  or the other is clearly better: low > 0
    inconclusive  otherwise, with the rows that would decide

The second line is what keeps a direct rollout moving: there is no shadow to gather more rows in, and a champion that
the world has left behind must be replaceable on few rows. Its price is known: a candidate worse by the margin passes in
at most one case of five, one worse by twice the margin in one of fifteen. Rows that may have taught the champion
are left out.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from millrace.spec import Scalar
from millrace_common.messages.promotion import Verdict
from millrace_gatekeeper.core.evidence import Booleans, Case, Floats, GateRows, Incumbent
from millrace_gatekeeper.core.paired import Estimate, Interval, accuracy, auc, clusters_of, interval

DIFFERENCE_MAX = 1e-5
MARGIN = 0.01
ROWS_MIN = 30
CLASS_ROWS_MIN = 5
"""Fewer rows of a class than this give no AUC worth comparing."""

Ruling = Literal["pass", "fail", "inconclusive"]


def parity(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass a graph that scores as the native model did: no difference over `difference_max`, no other decision.

    A row whose native score is the threshold, to within 1e-5, decides nothing.
    """
    if case.rows is None or case.scores is None:
        return _no_evidence("parity")
    limit = float(limits.get("difference_max") or DIFFERENCE_MAX)
    worst = float(np.max(np.abs(case.rows.scores - case.scores), initial=0.0))
    clear = np.abs(case.rows.scores - case.threshold) > DIFFERENCE_MAX
    flips = int(np.sum(((case.rows.scores >= case.threshold) != (case.scores >= case.threshold))[clear]))
    good = worst <= limit and flips == 0  # a NaN is not good
    return Verdict(
        gate="parity",
        verdict="pass" if good else "fail",
        value=_number(worst),
        limit=limit,
        n=case.rows.n,
        blocking=True,
        why=None if good else f"greatest difference {worst:g}, {flips} decisions differ from the native model",
    )


def floor(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass a candidate that is surely above a floor.

    `at_least` is a floor for `metric` (accuracy, or auc). `above_majority`, the default, is that of always
    answering the class that was the greater one in the rows fitted: what one could have guessed before. The hardest
    floor counts. Where it stays undecided and the champion is not surely above it on the same rows either, the gate is
    skipped: it would only keep what is no better.
    """
    metric = str(limits.get("metric") or "accuracy")
    if case.rows is None or case.scores is None:
        return _no_evidence("floor")
    few = _too_few(case.rows.labels, metric)
    if few:
        return Verdict(gate="floor", verdict="inconclusive", n=case.rows.n, n_needed=ROWS_MIN, blocking=True, why=few)
    named = {**limits, "metric": metric}
    found, lowest = _above_floor(case, case.rows, _metric(case.rows, case.scores, case.threshold, metric), named)
    is_open = _held(found) == "inconclusive"
    is_idle = is_open and _champion_is_no_better(case, case.rows, named)
    return Verdict(
        gate="floor",
        verdict="skipped" if is_idle else _held(found),
        value=found.value + lowest,
        limit=lowest,
        low=found.low + lowest,
        high=found.high + lowest,
        n=found.n,
        n_needed=found.rows_needed(0.0) if is_open else None,
        detectable=found.detectable,
        blocking=True,
        why=f"{metric} {found.value + lowest:.4f} against a floor of {lowest:.4f}"
        + ("; undecided, and the champion is not surely above it either" if is_idle else ""),
    )


def non_inferior(case: Case, limits: Mapping[str, Scalar]) -> Verdict:
    """Pass a candidate that is no worse than the champion on the same rows (the module states the rule).

    `margin` is what counts as worse, default 0.01; `metric` auc or accuracy lets that one alone decide.
    """
    if case.incumbent is None:
        return _skipped("no champion")
    if case.rows is None or case.scores is None:
        return _no_evidence("non_inferior")
    if case.incumbent.scores is None:
        return _skipped(case.incumbent.why or "the champion gives no scores")
    margin = float(limits.get("margin") or MARGIN)
    fair = _unlearnt(case.rows, case.incumbent)
    if fair.sum() < ROWS_MIN:
        why = f"{int(fair.sum())} gate rows lie after what the champion learnt from"
        return Verdict(
            gate="non_inferior", verdict="inconclusive", n=int(fair.sum()), n_needed=ROWS_MIN, blocking=True, why=why
        )
    differences = dict(_differences(case, case.incumbent, fair, limits.get("metric")))
    if not differences:
        why = "the gate rows hold too few rows of one class for an AUC"
        return Verdict(
            gate="non_inferior", verdict="inconclusive", n=int(fair.sum()), n_needed=None, blocking=True, why=why
        )
    return _ruled(differences, margin, case.incumbent.version)


def rule(differences: Mapping[str, Interval], margin: float) -> Ruling:
    """Return what the differences say, the deciding metric first (the module states the rule)."""
    first, *others = differences.values()
    if any(found.high < -margin for found in differences.values()):
        return "fail"
    if first.low > -margin or (first.value > 0 and first.low > -2 * margin):
        return "pass"
    return "pass" if any(other.low > 0 for other in others) else "inconclusive"


def _ruled(differences: Mapping[str, Interval], margin: float, version: str) -> Verdict:
    ruling = rule(differences, margin)
    first = next(iter(differences.values()))
    told = ", ".join(f"{name} {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]" for name, d in differences.items())
    return Verdict(
        gate="non_inferior",
        verdict=ruling,
        value=first.value,
        limit=-margin,
        low=first.low,
        high=first.high,
        n=first.n,
        n_needed=first.rows_needed(-margin) if ruling == "inconclusive" else None,
        detectable=first.detectable,
        blocking=True,
        why=f"against version {version}: {told}",
    )


def _differences(case: Case, champion: Incumbent, fair: Booleans, metric: Scalar) -> Iterator[tuple[str, Interval]]:
    rows, ours, theirs = case.rows, case.scores, champion.scores
    assert rows is not None
    assert ours is not None
    assert theirs is not None
    labels = rows.labels[fair]
    clusters = clusters_of(rows.entities[fair], rows.times_us[fair])
    if metric != "accuracy" and not _too_few(labels, "auc"):
        yield "auc", interval(auc(labels, ours[fair]) - auc(labels, theirs[fair]), clusters)
    if metric != "auc":
        right = accuracy(labels, ours[fair] >= case.threshold)
        yield "accuracy", interval(right - accuracy(labels, theirs[fair] >= champion.threshold), clusters)


def _metric(rows: GateRows, scores: Floats, threshold: float, metric: str) -> Estimate:
    return auc(rows.labels, scores) if metric == "auc" else accuracy(rows.labels, scores >= threshold)


def _above_floor(case: Case, rows: GateRows, found: Estimate, limits: Mapping[str, Scalar]) -> tuple[Interval, float]:
    """Return how far a metric lies above the hardest of its floors, and that floor."""
    clusters = clusters_of(rows.entities, rows.times_us)
    at_least, is_accuracy = limits.get("at_least"), limits["metric"] == "accuracy"
    floors: list[tuple[Interval, float]] = []
    if at_least is not None or not is_accuracy:
        lowest = 0.5 if at_least is None else float(at_least)
        floors.append((interval(Estimate(found.value - lowest, found.shares), clusters), lowest))
    if is_accuracy and (limits.get("above_majority") or not floors):
        guess = accuracy(rows.labels, np.full(rows.n, _positive_share(case, rows) >= 0.5))
        floors.append((interval(found - guess, clusters), guess.value))
    return min(floors, key=lambda one: one[0].low)


def _held(found: Interval) -> Ruling:
    return "pass" if found.low > 0 else "fail" if found.high <= 0 else "inconclusive"


def _champion_is_no_better(case: Case, rows: GateRows, limits: Mapping[str, Scalar]) -> bool:
    """Say whether there is a champion that the same rows do not show to be above the floor."""
    champion = case.incumbent
    if champion is None or champion.scores is None:
        return False
    measured = _metric(rows, champion.scores, champion.threshold, str(limits["metric"]))
    return _held(_above_floor(case, rows, measured, limits)[0]) != "pass"


def _positive_share(case: Case, rows: GateRows) -> float:
    """Return the share of the positive class in the rows fitted; in the gate rows where the candidate does not say."""
    stated = case.candidate.metrics.get("fit", {}).get("positive")
    return float(rows.labels.mean()) if stated is None else stated.value


def _unlearnt(rows: GateRows, champion: Incumbent) -> Booleans:
    if champion.learnt_until_us is None:
        return np.ones(rows.n, np.bool_)
    return np.asarray(rows.times_us > champion.learnt_until_us, np.bool_)


def _too_few(labels: Booleans, metric: str) -> str | None:
    if len(labels) < ROWS_MIN:
        return f"{len(labels)} gate rows; the least is {ROWS_MIN}"
    rarer = int(min(labels.sum(), (~labels).sum()))
    if metric == "auc" and rarer < CLASS_ROWS_MIN:
        return f"{rarer} gate rows of one class; the least is {CLASS_ROWS_MIN}"
    return None


def _no_evidence(gate: str) -> Verdict:
    return Verdict(gate=gate, verdict="fail", blocking=True, why="the candidate could not be scored on its gate rows")


def _skipped(why: str) -> Verdict:
    return Verdict(gate="non_inferior", verdict="skipped", blocking=True, why=why)


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
