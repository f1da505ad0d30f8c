"""The sketches' rules keep what they promise."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.oracles.sketches import BUCKETS_MAX, EXACT_MAX, bucket, estimated, hashed, rank_of, sketched


@pytest.mark.parametrize("n", [1, EXACT_MAX, EXACT_MAX + 1, 300, 2_000, 50_000])
def test_distinct_is_exact_and_then_near(n: int) -> None:
    """Up to 64 values are counted exactly; beyond that a count is within three standard errors of 4.6 %."""
    found = estimated({hashed(float(i)) for i in range(n)})
    assert found == n if n <= EXACT_MAX else abs(found - n) <= 3 * 0.046 * n


@given(
    st.lists(st.floats(0.01, 1e4) | st.floats(-1e4, -0.01) | st.just(0.0), min_size=1, max_size=300), st.floats(0, 1)
)
def test_a_quantile_is_near(values: list[float], q: float) -> None:
    """A value is off by the relative error of its collapsed buckets: here at most 15 %."""
    buckets = Counter(bucket(value) for value in values)
    found, true = sketched(buckets, q), sorted(values)[rank_of(q, len(values)) - 1]
    assert abs(found - true) <= (0.0101 if len(buckets) <= BUCKETS_MAX else 0.15) * abs(true)


def test_a_collapse_does_not_depend_on_how_values_came_together() -> None:
    """Collapsing halves, merging and collapsing again gives what collapsing the whole gives."""
    rng = random.Random(3)
    for _ in range(50):
        i, levels = rng.randint(-4_000, 4_000), rng.randint(1, 9)
        at_once, by_steps = -(-i // 2**levels), i
        for _ in range(levels):
            by_steps = (by_steps + 1) // 2
        assert at_once == by_steps
