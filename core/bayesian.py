"""Variational inference for Bayesian Gaussian mixtures, as an algorithm of the fitting loop (Bishop 2006, §10.2)."""

__all__ = ["VariationalBayes", "entropy", "fit_labelled"]

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.covariance import Covariance
from core.densities import LogDensities
from core.em import BOUND_ROUND_OFF
from core.errors import Diverged
from core.expectation import Expectation
from core.fit import Step
from core.linalg import power_of_two
from core.mixture import Statistics
from core.posterior import Posterior, update
from core.prior import Prior
from core.rows import Chunk
from core.starts import starting_statistics, statistics_from_labels
from core.stepwise import RunningStatistics
from core.types import Floats, Ints, MapLike

# That of a bound whose terms are computed in 32 bits: what was measured (`docs/numerics.md`).
BOUND_ROUND_OFF_FLOAT32 = 1e-6


@dataclass(frozen=True)
class VariationalBayes:
    """Coordinate ascent on the evidence lower bound: q(Z), then q(π, μ, Λ), and again.

    The objective of an iteration is the bound after both, in nats over all rows (not a mean: evidence grows with
    the rows, the prior does not), and with every constant. Weights of the rows count: a row of weight 2 is two rows.
    An `initial` posterior takes the place of a start; with `init_size` the starts "kmeans" and "k-means++" see that
    many rows alone.
    """

    X: Floats
    sample_weight: Floats
    n_components: int
    structure: type[Covariance]
    prior: Prior
    init_params: str = "kmeans"
    tol: float = 1e-3
    reg_covar: float = 1e-6
    initial: Posterior | None = None
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
        """The bound is maximised."""
        return 1

    def start(self, rng: np.random.Generator) -> Posterior:
        """The posterior under the responsibilities of a start."""
        if self.initial is not None:
            return self.initial
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
        return self.update(statistics.times(self.unit))

    def step(self, posterior: Posterior) -> Step[Posterior]:
        """One E-step (Bishop 2006, eq. 10.46–10.49), one M-step, and the bound that they reach (eq. 10.70)."""
        statistics = self.statistics(posterior)
        updated = self.update(statistics)
        return Step(updated, entropy(posterior.mixture.log_densities, statistics) + updated.log_evidence)

    def statistics(self, posterior: Posterior) -> Statistics:
        """The E-step of all rows."""
        statistics = self.expectation(posterior.mixture.log_densities).times(self.unit)
        if not np.isfinite(statistics.log_likelihood):
            raise Diverged(f"the expected log-likelihood became {statistics.log_likelihood}")
        return statistics

    def update(self, statistics: Statistics) -> Posterior:
        """The M-step."""
        return update(self.prior, self.structure, statistics, self.reg_covar)

    def implied(self, running: RunningStatistics) -> Posterior:
        """The M-step for a stream: as if all its rows were like the running mean (Hoffman et al. 2013, §2.4)."""
        return self.update(running.statistics.times(running.weight))

    @property
    def unit(self) -> float:
        """The weight that counts as 1 in the expectation, a power of two: here weights have more than ratios."""
        return power_of_two(float(self.sample_weight.max()))

    def quiet(self, step: Step[Posterior], change: float) -> bool:
        """Whether the signed gain is below `tol`, or below the round-off of 32-bit floats where rows are such.

        A fall counts as no gain only within round-off or, with `reg_covar` > 0, within `tol`: the E-step knows
        nothing of it. Any other fall is no convergence. With `tol` = 0 nothing is quiet.
        """
        allowed = self.slack(step.objective)
        small = max(self.tol, allowed) if self.X.dtype == np.float32 else self.tol
        if self.reg_covar > 0:
            allowed = max(allowed, self.tol)
        return self.tol > 0 and -allowed < change < small

    def slack(self, objective: float) -> float:
        """Round-off of the bound."""
        round_off = BOUND_ROUND_OFF_FLOAT32 if self.X.dtype == np.float32 else BOUND_ROUND_OFF
        return round_off * max(1.0, abs(objective))

    def finish(self, posterior: Posterior, objective: float) -> float:
        """The bound after the last M-step."""
        return objective

    def pack(self, posterior: Posterior) -> dict[str, Floats]:
        """Means, covariances and their factors as they are, and the statistics that they were made of."""
        statistics = posterior.statistics
        return {
            "counts": statistics.counts,
            "means": posterior.means,
            "covariances": posterior.covariance.covariances,
            "precisions_cholesky": posterior.covariance.precisions_cholesky,
            "row_means": statistics.means,
            "row_scatter": statistics.scatter,
            "totals": np.array([statistics.log_likelihood, statistics.total]),
        }

    def unpack(self, arrays: Mapping[str, Floats]) -> Posterior:
        """The inverse of `pack`."""
        k, d = arrays["means"].shape
        log_likelihood, total = arrays["totals"].tolist()
        statistics = Statistics(log_likelihood, total, arrays["counts"], arrays["row_means"], arrays["row_scatter"])
        covariance = self.structure(arrays["covariances"], arrays["precisions_cholesky"], k, d)
        return Posterior(self.prior, statistics, arrays["means"], covariance)


def entropy(densities: LogDensities, statistics: Statistics) -> float:
    """H[q(Z)] = −Σ w rₙₖ log rₙₖ of the responsibilities that the densities gave, from their statistics alone.

    log ρₙ = Σₖ rₙₖ (log ρₙₖ − log rₙₖ), where ρₙₖ is the density of component k at row n and ρₙ the sum of all: the
    entropy is Σ w log ρₙ minus the expected terms, and these need no more of the rows than counts, means and scatter.
    """
    counts, covariance = statistics.counts, densities.covariance
    held = counts > 0
    scatter = statistics.scatter + covariance.spread(counts, statistics.means - densities.means)
    return statistics.log_likelihood - float(counts[held] @ densities.offsets[held]) + 0.5 * covariance.trace(scatter)


def fit_labelled(algorithm: VariationalBayes, labels: Ints) -> tuple[Posterior, float]:
    """The posterior of rows whose component is known, and log p(X, Z).

    With full covariances nothing is left to approximate; other structures have the best posterior of their family,
    and a bound.
    """
    statistics = statistics_from_labels(
        algorithm.structure, algorithm.chunks, labels, algorithm.n_components, algorithm.chunk_map
    )
    posterior = algorithm.update(statistics.times(algorithm.unit))
    return posterior, posterior.log_evidence
