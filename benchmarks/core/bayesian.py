"""Variational EM: time an iteration, against scikit-learn."""

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

import numpy as np
import sklearn.mixture

from benchmarks.core.cases import Case, Figure
from benchmarks.core.data import Array, blobs
from benchmarks.core.em import compared
from benchmarks.core.mixtures import MANY, Answers
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace
from core import BayesianGaussianMixture

SHAPE = Shape(100_000, 16, 16)
STRUCTURES = ("full", "diag", "tied", "spherical")


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group; they have no goals."""
    shape = settings.shape(SHAPE)
    for structure in STRUCTURES:
        measure = partial(against_scikit_learn, shape, structure, settings.pace)
        yield Case("variational EM, an iteration", f"{structure}, {shape}", "scikit-learn", measure)


def against_scikit_learn(shape: Shape, structure: str, pace: Pace) -> Figure:
    """Both from consecutive equal blocks of rows: parameters alone do not tell where a variational fit begins."""
    X, k = blobs(shape).X, shape.k
    return compared(lambda: Ours(X, k, structure), lambda: ScikitLearn(X, k, structure), 1e-9, pace)


class Ours:
    """The core's, through its estimator."""

    def __init__(self, X: Array, k: int, structure: str) -> None:
        self.mixture = BayesianGaussianMixture(
            k, covariance_type=structure, init_params="block", tol=0.0, max_iter=MANY
        )
        self.steps = self.mixture.fit_steps(X)

    def iterate(self) -> None:
        """A step."""
        next(self.steps)

    def answers(self) -> Answers:
        """The parameters after it."""
        arrays = self.mixture.state_.parameters
        return {name: arrays[name] for name in ("counts", "means", "covariances")}


class ScikitLearn:
    """The body of the loop of its `fit_predict`."""

    def __init__(self, X: Array, k: int, structure: str) -> None:
        self.X = X
        self.mixture = sklearn.mixture.BayesianGaussianMixture(n_components=k, covariance_type=structure)
        self.mixture._check_parameters(X)
        self.mixture._initialize(X, np.eye(k)[np.arange(len(X)) * k // len(X)])

    def iterate(self) -> None:
        """Both steps and the bound."""
        log_density, log_resp = self.mixture._e_step(self.X)
        self.mixture._m_step(self.X, log_resp)
        self.mixture._compute_lower_bound(log_resp, log_density)

    def answers(self) -> Answers:
        """The parameters after it; the stick's first parameters are 1 + counts."""
        mixture = self.mixture
        counts = mixture.weight_concentration_[0] - 1
        return {"counts": counts, "means": mixture.means_, "covariances": mixture.covariances_}
