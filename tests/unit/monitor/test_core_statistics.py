"""The monitor's statistics against slow, obvious oracles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from millrace_common import profiles
from millrace_monitor.core.concept import Concept, split_of
from millrace_monitor.core.conformal import p_value
from millrace_monitor.core.distances import ks_bracket, psi
from millrace_monitor.core.histograms import Layout, bytes_of, digest
from millrace_monitor.core.pager import Pager
from millrace_monitor.core.quality import excess
from millrace_monitor.core.windows import Window, Windows

VALUES = st.lists(st.floats(-5, 5, width=32), min_size=30, max_size=120)
ROWS = st.lists(st.tuples(st.one_of(st.none(), st.floats(-9, 9, width=32)), st.floats(0, 1, width=32)), max_size=60)
LAYOUT = Layout.of([(-1.0, 0.0, 1.0), (0.0, 0.25, 0.5, 1.0)])


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_the_exact_ks_distance_lies_in_the_bracket(reference: list[float], current: list[float]) -> None:
    """The two-sample statistic of the values is between the bounds that their counts give."""
    ref, cur = np.array(reference, np.float32), np.array(current, np.float32)
    edges = profiles.edges_of(ref)

    low, high = ks_bracket(profiles.count(edges, ref), profiles.count(edges, cur))

    exact = stats.ks_2samp(ref.astype(np.float64), cur.astype(np.float64), method="asymp").statistic
    assert low - 1e-9 <= exact <= high + 1e-9


def test_w1_is_the_exact_distance_within_half_a_bin() -> None:
    """W1 from counts differs from scipy's on the values by no more than the values moved to their centres."""
    rng = np.random.default_rng(3)
    ref, cur = rng.uniform(0, 1, 5_000).astype(np.float32), rng.uniform(0.1, 0.9, 5_000).astype(np.float32)
    edges = profiles.edges_of(ref)

    ours = profiles.w1(edges, profiles.count(edges, ref), profiles.count(edges, cur), scale=1.0)

    assert ours == pytest.approx(stats.wasserstein_distance(ref, cur), abs=float(np.diff(edges).max()))


def test_psi_is_the_symmetric_divergence_of_the_smoothed_shares() -> None:
    """PSI is KL(cur, ref) + KL(ref, cur) of the shares after adding one half to every cell."""
    ref, cur = np.array([10, 30, 60, 5, 0]), np.array([40, 30, 20, 5, 9])
    p, q = (ref + 0.5) / (ref + 0.5).sum(), (cur + 0.5) / (cur + 0.5).sum()

    assert psi(ref, cur) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))


@pytest.mark.parametrize(
    ("missing", "n", "share"), [(3, 100, 0.01), (30, 100, 0.1), (100, 100, 0.9), (50, 1_000, 0.02)]
)
def test_the_bound_on_missing_values_is_never_below_the_exact_tail(missing: int, n: int, share: float) -> None:
    """The Chernoff bound errs on the quiet side of the exact binomial tail, and not by much."""
    exact = float(stats.binom.sf(missing - 1, n, share))

    assert exact <= excess(missing, n, share) * (1 + 1e-9)
    assert excess(missing, n, share) <= 30 * exact


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(0, 60))
def test_counts_add_up_and_take_apart_exactly(rows: list[tuple[float | None, float]], cut: int) -> None:
    """Counting in two parts, in any order, gives the counts of the whole, to the byte; so does taking a part away."""
    whole, first, rest = LAYOUT.tally(rows), LAYOUT.tally(rows[:cut]), LAYOUT.tally(rows[cut:])

    assert bytes_of(rest + first) == bytes_of(whole)
    assert digest(whole - first) == digest(rest)
    assert int(whole.sum()) == 2 * len(rows)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.floats(-2, 2, width=32)), max_size=80), st.integers(1, 40))
def test_windows_count_every_row_once(rows: list[tuple[int, float]], rows_min: int) -> None:
    """However late rows come, and however windows merge, each row is counted in exactly one window."""
    windows = Windows(width_us=100, rows_min=rows_min)
    layout = Layout.of([(0.0, 1.0)])
    closed: list[Window] = []
    newest = 0
    for at_us, value in rows:
        windows.add(at_us, (value,), layout)
        newest = max(newest, at_us)
        if windows.due_us <= newest:
            closed += windows.close(newest, layout)
    closed += windows.close(1 << 60, layout)

    left = [windows.carried] if windows.carried else []
    assert sum(one.n for one in [*closed, *left]) == len(rows)
    assert all(one.n >= rows_min for one in closed)
    assert [one.start_us for one in closed] == sorted(one.start_us for one in closed)


def test_a_p_value_is_uniform_over_exchangeable_windows() -> None:
    """Over windows like the reference's, p is at most x with a chance of at most x."""
    rng = np.random.default_rng(5)
    drawn = np.array([p_value(x, sorted(rng.normal(size=40))) for x in rng.normal(size=4_000)])

    for x in (0.05, 0.1, 0.5):
        assert (drawn <= x).mean() <= x + 3 * math.sqrt(x * (1 - x) / drawn.size)


def test_the_pager_keeps_its_false_alarm_budget() -> None:
    """At a budget of 200 windows, pages on nothing come at most once in 200 windows, columns alike or not."""
    rng = np.random.default_rng(11)
    budget, windows, pages = 200.0, 20_000, 0
    pager = Pager.start(6)
    for _ in range(windows):
        shared, own = rng.random(), rng.random(3)
        pager.see([shared, shared, shared, *own], 0)
        if pager.level >= budget:
            pages += 1
            pager = Pager.start(6)

    assert pages <= windows / budget
    assert pages > 0, "a budget that is never used proves nothing"


def test_the_pager_says_when_a_shift_of_one_column_began() -> None:
    """One column of six that becomes unusual is paged within few windows, with the window where it began."""
    rng = np.random.default_rng(2)
    pager = Pager.start(6)
    for window in range(60):
        pager.see([0.01 if window >= 40 else rng.random(), *rng.random(5)], window)
        if pager.level >= 200:
            break

    assert 40 <= window <= 46
    assert pager.since_us is not None
    assert 38 <= pager.since_us <= 41


def drawn(rng: np.random.Generator, n: int, right: float, says: float = 0.8) -> Concept:
    """Return the bets after `n` labels, or at their alarm, of a model that is right and says so with these chances."""
    concept = Concept.start(5_000.0)
    for at in range(n):
        concept.see(confidence=says, correct=bool(rng.random() < right), at_us=at)
        if concept.level >= concept.budget:
            break
    return concept


def test_bets_keep_their_false_alarm_budget_while_the_model_is_as_good_as_it_says() -> None:
    """On 40 streams of 1,000 labels each, with a budget of 5,000 labels, at most 8 alarms."""
    alarms = [drawn(np.random.default_rng(seed), 1_000, right=0.8) for seed in range(40)]

    assert sum(one.level >= one.budget for one in alarms) <= 8


@pytest.mark.parametrize(("right", "labels_max"), [(0.6, 200), (0.7, 700)])
def test_bets_find_a_model_that_is_worse_than_it_says(right: float, labels_max: int) -> None:
    """A drop of 20 points is told within 200 labels, one of 10 points within 700, in the median of 15 streams."""
    delays = [len(drawn(np.random.default_rng(seed), 5_000, right=right).recent) for seed in range(15)]

    assert float(np.median(delays)) <= labels_max


def test_bets_say_when_the_change_began_and_what_it_cost() -> None:
    """After 2,000 good labels and a drop of 30 points, the change point and both accuracies are near the truth."""
    rng = np.random.default_rng(4)
    concept = Concept.start(5_000.0)
    for at in range(4_000):
        concept.see(confidence=0.8, correct=bool(rng.random() < (0.8 if at < 2_000 else 0.5)), at_us=at)
        if concept.level >= concept.budget:
            break

    split = split_of(concept.recent, expected=0.8)
    assert split.since_us == pytest.approx(2_000, abs=20)
    assert split.before == pytest.approx(0.8, abs=0.04)
    assert split.after == pytest.approx(0.5, abs=0.15)


def test_a_model_that_was_bad_from_the_start_has_no_change_point_later() -> None:
    """Where the bets win from the first label on, everything since the promotion counts as after the change."""
    concept = drawn(np.random.default_rng(6), 5_000, right=0.5)
    split = split_of(concept.recent, expected=0.8)

    assert (split.since_us, split.n, split.before) == (0, concept.recent[-1][0] + 1, 0.8)
