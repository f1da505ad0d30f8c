"""Profiles: exact counts on frozen edges, and distances that agree with their slow definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from millrace_common import profiles

values = st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=300)


@given(values)
def test_every_value_is_counted_once(column: list[float]) -> None:
    """Reference values fall in bins or null, never under or over, and none is lost."""
    array = np.array(column, np.float32)
    counts = profiles.count(profiles.edges_of(array), array)
    assert counts.sum() == array.size
    assert counts[0] == counts[-2] == 0
    assert counts[-1] == np.isnan(array).sum()


@given(values, values)
def test_counts_add(left: list[float], right: list[float]) -> None:
    """The counts of a union are the sum of the counts: windows merge and subtract exactly."""
    a, b = np.array(left, np.float32), np.array(right, np.float32)
    edges = profiles.edges_of(a)
    both = profiles.count(edges, np.concatenate((a, b)))
    assert (both == profiles.count(edges, a) + profiles.count(edges, b)).all()


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), min_size=5, max_size=80), st.lists(st.integers(0, 40), min_size=5, max_size=80))
def test_ks_is_exact_with_one_bin_per_value(left: list[int], right: list[int]) -> None:
    """With few distinct values, all of them known, the binned KS is the true two-sample statistic."""
    a, b = np.array(left, np.float32), np.array(right, np.float32)
    edges = profiles.edges_of(np.concatenate((a, b)))
    found = profiles.ks(profiles.count(edges, a), profiles.count(edges, b))
    true = ks_2samp(a.astype(np.float64), b.astype(np.float64), method="asymp").statistic
    assert abs(found - true) < 1e-12


def test_w1_is_near_the_true_distance() -> None:
    """On 64 bins the binned Wasserstein distance is within three percent of a spread of the exact one."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 20_000), rng.normal(0.5, 1, 20_000)
    edges = profiles.edges_of(a)
    found = profiles.w1(edges, profiles.count(edges, a), profiles.count(edges, b), scale=1.0)
    assert abs(found - wasserstein_distance(a, b)) < 0.03


def test_a_spike_has_its_own_bin() -> None:
    """A value that holds a tenth of the rows does not hide its neighbours."""
    rng = np.random.default_rng(2)
    column = np.concatenate((rng.normal(size=900), np.zeros(100))).astype(np.float32)
    edges = profiles.edges_of(column)
    at = edges.index(0.0)
    assert edges[at + 1] == float(np.nextafter(np.float32(0), np.float32(1)))
    assert profiles.count(edges, column)[at + 1] == 100


def test_an_empty_column_has_a_profile() -> None:
    """A column that was always missing counts as null, and any value later is told from it."""
    edges = profiles.edges_of(np.full(3, np.nan, np.float32))
    assert profiles.count(edges, np.array([np.nan, 5.0])).tolist() == [0, 0, 1, 1]


def test_a_shifted_window_stands_out() -> None:
    """Reference windows of a steady column lie nearer than a shifted window does."""
    rng = np.random.default_rng(3)
    column = rng.normal(size=2_000)
    edges, scale = profiles.edges_of(column), profiles.scale_of(column)
    windows = profiles.reference_windows(edges, column, window_rows=200, scale=scale)
    assert len(windows.w1) == len(windows.ks) == 19
    whole, shifted = profiles.count(edges, column), profiles.count(edges, rng.normal(1, 1, 200))
    assert profiles.w1(edges, whole, shifted, scale=scale) > max(windows.w1)
    assert profiles.ks(whole, shifted) > max(windows.ks)


def test_json_round_trip() -> None:
    """profile.json gives back the profile it was made from, byte for byte when written again."""
    histogram = profiles.Histogram(edges=(0.0, 0.1), counts=(0, 3, 0, 1))
    profile = profiles.Profile(
        view_hash="v",
        columns=(profiles.ColumnProfile(name="x", edges=(0.0, 0.1), counts=(0, 3, 0, 1), scale=0.5),),
        score=histogram,
        score_scale=0.1,
        reference_windows={"x": profiles.ReferenceWindows(w1=(0.1,), ks=(0.2,))},
        window_rows=2,
        accuracy=profiles.ReferenceAccuracy(value=0.5, low=0.1, high=0.9, n=4),
        threshold=0.5,
    )
    data = profiles.encode(profile)
    assert profiles.decode(data) == profile
    assert profiles.encode(profiles.decode(data)) == data
