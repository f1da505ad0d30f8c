"""Each aggregate against its slow oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.oracles.windows import AGGREGATES as ORACLES

from millrace_engine.aggregates import AGGREGATES, AggregateName


@pytest.mark.parametrize("name", AGGREGATES)
@given(values=st.lists(st.floats(-1e30, 1e30) | st.just(0.1)), n=st.integers(1, 4))
def test_aggregate_is_its_oracle(name: AggregateName, values: list[float], n: int) -> None:
    """An aggregate of values in log order is what the obvious way gives, to the last bit of a float32."""
    found = AGGREGATES[name](values, n)
    expected = ORACLES[name](values, n)
    assert (None if found != found else float(np.float32(found))) == expected


def test_a_sum_goes_one_value_at_a_time() -> None:
    """Sums are added in log order, never regrouped and never compensated."""
    assert AGGREGATES["sum"]([1e16, 1.0, 1.0, -1e16], 1) == 0.0
    assert AGGREGATES["sum"]([1.0, 1.0, 1e16, -1e16], 1) == 2.0
