"""scikit-learn: logistic regression on filled and scaled columns, the floor that every other model is held against."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from millrace.spec import Scalar
from millrace_common.errors import Refused
from millrace_trainer.core.dataset import Dataset, Matrix

DEFAULTS: Mapping[str, Scalar] = {"C": 1.0, "max_iter": 300}
KNOWN = frozenset({"C", "max_iter", "tol", "fit_intercept", "class_weight"})


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A fitted pipeline: median, scale, regression."""

    pipeline: Any  # scikit-learn ships no types
    params: Mapping[str, Scalar]
    rounds: int

    def score(self, x: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        return np.asarray(self.pipeline.predict_proba(x)[:, 1], np.float64)

    def boundaries(self) -> list[tuple[int, float]]:
        """Return nothing: the model is smooth."""
        return []

    def explain(self) -> bytes | None:
        """Return nothing: the coefficients stand in the ONNX file."""
        return None


def fit(dataset: Dataset, parts: Mapping[str, slice], *, params: Mapping[str, Scalar], seed: int) -> LogisticModel:
    """Return a regression fitted on `fit`; a fit that did not settle is taken as it is. Raises Refused."""
    unknown = sorted(set(params) - KNOWN)
    if unknown:
        raise Refused("unknown-parameter", f"{', '.join(unknown)}; known: {', '.join(sorted(KNOWN))}")
    chosen = {**DEFAULTS, **params, "random_state": seed}
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), LogisticRegression(**chosen)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            pipeline.fit(dataset.x[parts["fit"]].astype(np.float64), dataset.y[parts["fit"]])
        except InvalidParameterError as error:
            raise Refused("bad-parameter", str(error)) from error
    return LogisticModel(pipeline, chosen, int(pipeline[-1].n_iter_[0]))
