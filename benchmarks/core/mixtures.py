"""Ours and scikit-learn's mixture, each as a fit that goes on by one iteration when told to."""

__all__ = ["Answers", "Ours", "ScikitLearn", "Start", "start"]

from typing import Any, NamedTuple

import numpy as np
import sklearn.mixture

from benchmarks.core.data import Array, blobs
from benchmarks.core.shapes import Shape
from core import GaussianMixture

Answers = dict[str, Any]
MANY = 10_000


class Start(NamedTuple):
    """Where a fit begins."""

    weights: Array
    means: Array
    precisions: Array
    structure: str
    reg_covar: float = 1e-6

    @property
    def arguments(self) -> dict[str, Any]:
        """As both estimators take them."""
        return {
            "n_components": len(self.weights),
            "weights_init": self.weights,
            "means_init": self.means,
            "precisions_init": self.precisions,
            "covariance_type": self.structure,
            "reg_covar": self.reg_covar,
        }


def start(shape: Shape, structure: str, dtype: str) -> Start:
    """Equal weights, means half a deviation beside the groups', and the precision of all rows.

    The weights are float64 in either case: rounded to float32 they need not sum to 1.
    """
    data, k = blobs(shape, dtype), shape.k
    covariance = np.cov(blobs(shape).X.T)
    precision = np.linalg.inv(covariance)
    variances = 1 / np.diagonal(covariance)
    precisions = {
        "full": np.stack([precision] * k),
        "tied": precision,
        "diag": np.stack([variances] * k),
        "spherical": np.full(k, variances.mean()),
    }[structure]
    return Start(np.full(k, 1 / k), data.centers, precisions.astype(dtype), structure)


class Ours:
    """The core's, through its estimator."""

    def __init__(self, X: Array, begin: Start) -> None:
        self.mixture = GaussianMixture(**begin.arguments, tol=0.0, max_iter=MANY)
        self.steps = self.mixture.fit_steps(X)

    def iterate(self) -> None:
        """A step."""
        self.bound = next(self.steps).objective

    def answers(self) -> Answers:
        """The bound before the iteration, the parameters after it."""
        arrays = self.mixture.state_.parameters
        return {"bounds": self.bound} | {name: arrays[name] for name in ("weights", "means", "covariances")}


class ScikitLearn:
    """The body of the loop of its `fit_predict`."""

    def __init__(self, X: Array, begin: Start) -> None:
        self.X = X
        self.mixture = sklearn.mixture.GaussianMixture(**begin.arguments)
        self.mixture._initialize(X, None)

    def iterate(self) -> None:
        """Both steps and the bound."""
        log_density, log_resp = self.mixture._e_step(self.X)
        self.mixture._m_step(self.X, log_resp)
        self.bound = self.mixture._compute_lower_bound(log_resp, log_density)

    def answers(self) -> Answers:
        """The bound before the iteration, the parameters after it."""
        mixture = self.mixture
        parameters = {"weights": mixture.weights_, "means": mixture.means_, "covariances": mixture.covariances_}
        return {"bounds": self.bound} | parameters
