"""Thresholds on 32-bit floats decide as the 64-bit ones did."""

from types import SimpleNamespace
from typing import Any, cast

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.errors import Refused
from millrace_trainer.adapters import lightgbm_model
from millrace_trainer.adapters.onnx_model import OnnxModel, convert
from millrace_trainer.core.dataset import Dataset
from millrace_trainer.core.parity import boundary_rows, compare
from millrace_trainer.core.thresholds import boundaries, floor32, floored

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-3e38, max_value=3e38)


@given(finite, st.integers(-3, 3))
def test_floor32_parts_32_bit_numbers_alike(threshold: float, steps: int) -> None:
    """For every 32-bit x about the threshold, x <= t exactly if x <= floor32(t)."""
    x = np.float32(threshold)
    for _ in range(abs(steps)):
        x = np.nextafter(x, np.float32(np.sign(steps) * np.inf))
    down = floor32(np.array([threshold]))[0]
    assert (float(x) <= threshold) == (x <= down)


def rows(seed: int, n: int = 1_500) -> Dataset:
    """Return rows with what breaks conversions: epoch seconds, spikes at zero, missing values, constants."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    x[:, 0] = rng.integers(1_600_000_000, 1_700_000_000, n)
    x[rng.random(n) < 0.3, 1] = 0
    x[rng.random(n) < 0.2, 2] = np.nan
    x[:, 3] = 7
    y = ((x[:, 0] > 1.65e9) ^ (x[:, 1] > 0) ^ (rng.random(n) < 0.1)).astype(np.int8)
    return cast(Dataset, SimpleNamespace(x=x, y=y))


PARTS = {"fit": slice(0, 1_000), "tune": slice(1_000, 1_500)}


@pytest.mark.parametrize("seed", range(4))
def test_a_forest_converts_exactly(seed: int) -> None:
    """Native and ONNX agree on real rows, on every edge, around zero, and on missing values never seen."""
    data = rows(seed)
    model = lightgbm_model.fit(data, PARTS, params={}, seed=seed)
    onnx = OnnxModel.load(convert(model, columns=5), columns=5)
    edges = model.boundaries()
    near_zero = np.repeat(data.x[:8], 5, axis=0)
    near_zero[:, 1] = np.tile(np.array([-1e-35, -1e-36, 0, 1e-36, 1e-35], np.float32), 8)
    x = np.concatenate((data.x, boundary_rows(data.x, edges), near_zero))
    labels, probabilities = onnx.run(x)
    parity = compare(model.score(x), probabilities[:, 1], labels)
    assert len(edges) > 50
    assert parity.holds, parity
    assert parity.apart < 1e-6


def test_without_flooring_the_edges_are_wrong() -> None:
    """The parity check sees what a plain conversion breaks: this is why thresholds are floored."""
    data = rows(0)
    train = lightgbm.Dataset(data.x[:1_000], data.y[:1_000].astype(np.float32))
    params: dict[str, Any] = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    raw = lightgbm.train(params, train, 60)
    text = raw.model_to_string()
    plain = lightgbm_model.LightGbmModel(text, raw, {}, 60)
    onnx = OnnxModel.load(convert(plain, columns=5), columns=5)
    x = np.concatenate((data.x, boundary_rows(data.x, [(c, t) for c, t in boundaries(text) if c == 0])))
    labels, probabilities = onnx.run(x)
    assert not compare(plain.score(x), probabilities[:, 1], labels).holds


def test_flooring_changes_no_answer() -> None:
    """A forest answers the same before and after, for every 32-bit input."""
    data = rows(1)
    train = lightgbm.Dataset(data.x[:1_000], data.y[:1_000].astype(np.float32))
    raw = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, train, 30)
    text = raw.model_to_string()
    lower = lightgbm.Booster(model_str=floored(text))
    x = np.concatenate((data.x, boundary_rows(data.x, boundaries(text))))
    assert np.array_equal(np.asarray(raw.predict(x)), np.asarray(lower.predict(x)))


@pytest.mark.parametrize("name", ["linear_tree", "categorical_feature", "num_threads", "deterministic"])
def test_parameters_that_convert_wrongly_are_refused(name: str) -> None:
    """What ONNX would get wrong, or what ends determinism, is refused by name."""
    with pytest.raises(Refused, match=name):
        lightgbm_model.fit(rows(0), PARTS, params={name: 3}, seed=0)


def test_a_forest_without_a_split_converts() -> None:
    """Rows that teach nothing give a constant, natively and in ONNX."""
    data = cast(Dataset, SimpleNamespace(x=np.full((60, 2), np.nan, np.float32), y=np.arange(60, dtype=np.int8) % 2))
    parts = {"fit": slice(0, 40), "tune": slice(40, 60)}
    model = lightgbm_model.fit(data, parts, params={}, seed=0)
    labels, probabilities = OnnxModel.load(convert(model, columns=2), columns=2).run(data.x)
    assert compare(model.score(data.x), probabilities[:, 1], labels).holds
