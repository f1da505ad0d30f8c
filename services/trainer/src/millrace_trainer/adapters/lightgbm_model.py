"""LightGBM: a seeded fit with early stopping, its thresholds on 32-bit floats, its text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from millrace.spec import Scalar
from millrace_common.errors import Refused
from millrace_trainer.core.dataset import Dataset, Matrix
from millrace_trainer.core.thresholds import boundaries, floored

DEFAULTS: Mapping[str, Scalar] = {
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "num_iterations": 200,
    "early_stopping_round": 20,
}
FIXED: Mapping[str, Scalar] = {
    "objective": "binary",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
REFUSED = ("linear_tree", "categorical_feature", "categorical_column", "cat_feature", "boosting")


@dataclass(frozen=True, slots=True)
class LightGbmModel:
    """A fitted forest. `text` is LightGBM's own format, with the thresholds that the converted model has."""

    text: str
    booster: Any  # lightgbm ships no types
    params: Mapping[str, Scalar]
    rounds: int

    def score(self, x: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        return np.asarray(self.booster.predict(x, num_threads=1), np.float64)

    def boundaries(self) -> list[tuple[int, float]]:
        """Return each (column, threshold) that the forest decides on."""
        return boundaries(self.text)

    def explain(self) -> bytes | None:
        """Return what exact attributions are computed from."""
        return self.text.encode()


def fit(dataset: Dataset, parts: Mapping[str, slice], *, params: Mapping[str, Scalar], seed: int) -> LightGbmModel:
    """Return a forest fitted on `fit`, stopped where `tune` no longer gains.

    Raises Refused for parameters that convert wrongly to ONNX or would end determinism (`unsafe-parameter`), and for
    those that LightGBM does not take (`bad-parameter`).
    """
    unsafe = sorted(name for name in params if name in REFUSED or params[name] != FIXED.get(name, params[name]))
    if unsafe:
        raise Refused("unsafe-parameter", f"{', '.join(unsafe)} converts wrongly or is fixed by the trainer")
    chosen = {**DEFAULTS, **params, **FIXED, "seed": seed}
    rounds = int(chosen.pop("num_iterations") or 0)
    patience = int(chosen.pop("early_stopping_round") or 0)
    try:
        booster = _trained(dataset, parts, chosen, rounds=rounds, patience=patience)
    except lightgbm.basic.LightGBMError as error:
        raise Refused("bad-parameter", str(error)) from error
    best = booster.best_iteration if booster.best_iteration > 0 else booster.num_trees()
    text = floored(booster.model_to_string(num_iteration=best))
    used = {**chosen, "num_iterations": rounds, "early_stopping_round": patience}
    return LightGbmModel(text, lightgbm.Booster(model_str=text), used, best)


def _trained(
    dataset: Dataset, parts: Mapping[str, slice], params: Mapping[str, Scalar], *, rounds: int, patience: int
) -> lightgbm.Booster:
    fit_rows, tune_rows = parts["fit"], parts["tune"]
    train = lightgbm.Dataset(dataset.x[fit_rows], dataset.y[fit_rows].astype(np.float32), params=dict(params))
    tune = train.create_valid(dataset.x[tune_rows], dataset.y[tune_rows].astype(np.float32), params=dict(params))
    stopping: list[Callable[..., Any]] = [lightgbm.early_stopping(patience, verbose=False)] if patience > 0 else []
    return lightgbm.train(dict(params), train, rounds, valid_sets=[tune], callbacks=stopping)
