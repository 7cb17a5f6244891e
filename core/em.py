"""Expectation–maximisation as an algorithm of the fitting loop, and the closed form for labelled rows."""

__all__ = ["EM", "fit_labelled"]

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.covariance import Covariance
from core.errors import Diverged
from core.expectation import Expectation
from core.fit import Step
from core.mixture import Mixture, Statistics, m_step
from core.rows import Chunk
from core.starts import starting_statistics, statistics_from_labels
from core.stepwise import RunningStatistics
from core.types import Floats, Ints, MapLike

# A fall of the bound of this size relative to it is the round-off of a sum over rows.
BOUND_ROUND_OFF = 1e-10


@dataclass(frozen=True)
class EM:
    """EM for Gaussian mixtures (Dempster, Laird & Rubin 1977; Bishop 2006, §9.2.2).

    `start` estimates a mixture from labels or random responsibilities, then puts the given `weights`, `means` and
    `covariance` in the place of the estimated ones; an `initial` mixture replaces it all. With `init_size` the
    starts "kmeans" and "k-means++" see that many rows alone.
    """

    X: Floats
    sample_weight: Floats
    n_components: int
    structure: type[Covariance]
    init_params: str = "kmeans"
    tol: float = 1e-3
    reg_covar: float = 1e-6
    weights: Floats | None = None
    means: Floats | None = None
    covariance: Covariance | None = None
    initial: Mixture | None = None
    chunk_map: MapLike = map
    init_size: int | None = None
    expectation: Expectation = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prepared = Expectation(
            self.X, self.sample_weight, self.n_components, self.structure, self.chunk_map, self.reg_covar
        )
        object.__setattr__(self, "expectation", prepared)

    @property
    def chunks(self) -> list[Chunk]:
        """The rows, with weights in the units of the expectation."""
        return self.expectation.chunks

    @property
    def sign(self) -> int:
        """The likelihood is maximised."""
        return 1

    def start(self, rng: np.random.Generator) -> Mixture:
        """One initial mixture."""
        if self.initial is not None:
            return self.initial
        if self.weights is not None and self.means is not None and self.covariance is not None:
            return Mixture(self.weights, self.means, self.covariance)
        statistics = starting_statistics(
            self.init_params,
            self.structure,
            self.X,
            self.sample_weight,
            self.chunks,
            self.n_components,
            rng,
            self.chunk_map,
            self.init_size,
        )
        if self.covariance is not None:
            # Its covariances are not needed, and where they would be singular, must not be asked for.
            counts = statistics.counts
            estimated = Mixture(counts / counts.sum(), statistics.means, self.covariance)
        else:
            estimated = m_step(self.structure, statistics, self.reg_covar)
        return Mixture(
            estimated.weights if self.weights is None else self.weights,
            estimated.means if self.means is None else self.means,
            estimated.covariance,
        )

    def step(self, mixture: Mixture) -> Step[Mixture]:
        """One E-step and one M-step; the objective is the mean log-likelihood that the E-step found."""
        statistics = self.statistics(mixture)
        return Step(self.update(statistics), statistics.log_likelihood / statistics.total)

    def statistics(self, mixture: Mixture) -> Statistics:
        """The E-step of all rows."""
        statistics = self.expectation(mixture.log_densities)
        bound = statistics.log_likelihood / statistics.total
        if not np.isfinite(bound):
            raise Diverged(f"the mean log-likelihood became {bound}")
        return statistics

    def update(self, statistics: Statistics) -> Mixture:
        """The M-step."""
        return m_step(self.structure, statistics, self.reg_covar)

    def implied(self, running: RunningStatistics) -> Mixture:
        """The M-step on what a stream has told so far; of weights, only shares matter."""
        return self.update(running.statistics)

    def quiet(self, step: Step[Mixture], change: float) -> bool:
        """Whether the signed gain is below `tol`.

        A fall counts as no gain only within round-off or, with `reg_covar` > 0, within `tol`: then the M-step does
        not maximise the bound itself. Any other fall is no convergence. With `tol` = 0 nothing is quiet.
        """
        allowed = self.slack(step.objective)
        if self.reg_covar > 0:
            allowed = max(allowed, self.tol)
        return self.tol > 0 and -allowed < change < self.tol

    def slack(self, objective: float) -> float:
        """Round-off of the mean log-likelihood."""
        return BOUND_ROUND_OFF * max(1.0, abs(objective))

    def finish(self, mixture: Mixture, objective: float) -> float:
        """The bound of the last E-step."""
        return objective

    def pack(self, mixture: Mixture) -> dict[str, Floats]:
        """Parameters, with the Cholesky factors as they are."""
        return {
            "weights": mixture.weights,
            "means": mixture.means,
            "covariances": mixture.covariance.covariances,
            "precisions_cholesky": mixture.covariance.precisions_cholesky,
        }

    def unpack(self, arrays: Mapping[str, Floats]) -> Mixture:
        """The inverse of `pack`."""
        k, d = arrays["means"].shape
        covariance = self.structure(arrays["covariances"], arrays["precisions_cholesky"], k, d)
        return Mixture(arrays["weights"], arrays["means"], covariance)


def fit_labelled(algorithm: EM, labels: Ints) -> tuple[Mixture, float]:
    """The maximum-likelihood mixture of labelled rows, in closed form, and its mean log-likelihood.

    One component a label: weights are shares, means and covariances those of the label's rows
    (Bishop 2006, §4.2.2), with `reg_covar` as in the M-step.
    """
    statistics = statistics_from_labels(
        algorithm.structure, algorithm.chunks, labels, algorithm.n_components, algorithm.chunk_map
    )
    mixture = m_step(algorithm.structure, statistics, algorithm.reg_covar)
    bound = algorithm.expectation(mixture.log_densities)
    return mixture, bound.log_likelihood / bound.total
