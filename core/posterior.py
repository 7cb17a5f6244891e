"""The variational posterior of a Bayesian Gaussian mixture: conjugate to its prior, so one follows from the other.

One model stands behind all four structures: each component has a mean and a precision matrix of its own,
p(μ, Λ) = N(μ | m₀, (β₀Λ)⁻¹) W(Λ | W₀, ν₀) (Bishop 2006, eq. 10.40). A structure restricts q(Λₖ) = W(Λₖ | Wₖ, νₖ):
Wₖ is a matrix (full), a diagonal (diag), a multiple of the identity (spherical), or the same with the same ν for all
components (tied). In each family the best member has the scale and degrees of freedom of `update`, so that every
structure climbs the same bound on log p(X).
"""

__all__ = ["ExpectedMixture", "Posterior", "update"]

from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np

from core import wishart
from core.concentration import Concentration
from core.covariance import Covariance
from core.densities import LogDensities
from core.errors import Diverged
from core.linalg import TINY
from core.mixture import Mixture, Statistics
from core.prior import Prior
from core.types import Floats


@dataclass(frozen=True)
class ExpectedMixture(Mixture):
    """What answers for a posterior: expected weights, means, inverses of expected precisions, expected log-densities.

    Responsibilities and scores are those of log ρ = E[log π] + ½E[log |Λ|] − ½(d log 2π + E[(x − μ)ᵀΛ(x − μ)])
    (Bishop 2006, eq. 10.46, 10.64–10.66): of `offsets` (k,), and the squared distances to the means.
    """

    offsets: Floats

    @cached_property
    def log_densities(self) -> LogDensities:
        """log ρₙₖ, as the E-step asks for it; the densities of all components integrate to less than 1."""
        return LogDensities(self.offsets, self.means, self.covariance)


@dataclass(frozen=True)
class Posterior:
    """q(π, μ, Λ) = q(π) Πₖ N(μₖ | mₖ, (βₖΛₖ)⁻¹) W(Λₖ | Wₖ, νₖ) (Bishop 2006, eq. 10.55–10.59).

    `statistics` are those of the rows that it is the `update` for, `means` (k, d) the mₖ, and `covariance` holds
    (νₖWₖ)⁻¹: the inverses of the expected precisions, as in scikit-learn.
    """

    prior: Prior
    statistics: Statistics
    means: Floats
    covariance: Covariance

    @property
    def counts(self) -> Floats:
        """Expected numbers of rows Nₖ, shape (k,)."""
        return self.statistics.counts

    @property
    def concentration(self) -> Concentration:
        """q(π)."""
        return self.prior.concentration(self.prior.weight_concentration, self.counts)

    @property
    def mean_precision(self) -> Floats:
        """βₖ = β₀ + Nₖ, shape (k,) (Bishop 2006, eq. 10.60)."""
        precision: Floats = self.prior.mean_precision + self.counts
        return precision

    @property
    def degrees_of_freedom(self) -> Floats:
        """νₖ = ν₀ + Nₖ, shape (k,), or () for the shared one (Bishop 2006, eq. 10.63, where some printings add 1)."""
        nu: Floats = np.asarray(self.prior.degrees_of_freedom + self.covariance.rows_each(self.counts))
        return nu

    @property
    def log_det_scale(self) -> Floats:
        """log |Wₖ|, shape (k,)."""
        log_det: Floats = 2 * self.covariance.log_det - self.covariance.n_features * np.log(self.degrees_of_freedom)
        return log_det

    @cached_property
    def mixture(self) -> ExpectedMixture:
        """What the E-step and prediction compute with."""
        d = self.covariance.n_features
        mean_log_det = wishart.mean_log_det(self.log_det_scale, self.degrees_of_freedom, d)
        offsets = self.concentration.mean_log + 0.5 * (mean_log_det - d * log(2 * pi) - d / self.mean_precision)
        return ExpectedMixture(self.concentration.mean, self.means, self.covariance, offsets)

    @property
    def log_evidence(self) -> float:
        """log ∫ p(π, μ, Λ) exp(E[log p(X, Z | π, μ, Λ)]) for responsibilities of which this is the `update`.

        With the entropy of q(Z) added it is the bound on log p(X): all of the terms of Bishop 2006, eq. 10.70–10.77,
        which for the best q(π, μ, Λ) leave only normalisers.
        """
        prior, d = self.prior, self.covariance.n_features
        means = 0.5 * d * np.log(prior.mean_precision / self.mean_precision)
        nu = np.asarray(prior.degrees_of_freedom)
        precisions = wishart.log_normaliser(2 * prior.covariance.log_det, nu, d) - wishart.log_normaliser(
            self.log_det_scale, self.degrees_of_freedom, d
        )
        constant = 0.5 * d * log(2 * pi) * self.counts.sum()
        return float(self.concentration.log_evidence + (means + precisions).sum() - constant)

    @property
    def effective_components(self) -> int:
        """The number of components that expect at least one row: Nₖ ≥ 1."""
        return int((self.counts >= 1).sum())


def update(prior: Prior, structure: type[Covariance], statistics: Statistics, reg_covar: float) -> Posterior:
    """The best q(π, μ, Λ) for given responsibilities: the M-step (Bishop 2006, eq. 10.51–10.53, 10.60–10.63).

    W⁻¹ₖ = W₀⁻¹ + Nₖ(Sₖ + reg_covar I) + β₀Nₖ/βₖ (x̄ₖ − m₀)(x̄ₖ − m₀)ᵀ. A component without rows has the prior again.
    Raises `CollapsedComponent`, or `Diverged` when a square overflowed.
    """
    counts = statistics.counts
    share = counts / (prior.mean_precision + counts)
    with np.errstate(over="ignore", invalid="ignore"):
        deltas = np.where((counts > TINY)[:, None], statistics.means - prior.mean, 0.0)
        means = prior.mean + share[:, None] * deltas
        scatter = statistics.scatter + structure.spread(prior.mean_precision * share, deltas)
        covariances = _pooled(prior, structure, counts, structure.average(counts, scatter, reg_covar))
    if not (np.isfinite(covariances).all() and np.isfinite(means).all()):
        raise Diverged("the square of a residual is above the largest float, 1.8e308: scale the data")
    return Posterior(prior, statistics, means, structure(covariances, structure.factor(covariances), *means.shape))


def _pooled(prior: Prior, structure: type[Covariance], counts: Floats, averages: Floats) -> Floats:
    """(W₀⁻¹ + N S) / (ν₀ + N), where S (`averages`) is the scatter of N rows over N."""
    rows = structure.rows_each(counts)
    rows = rows.reshape(rows.shape + (1,) * (averages.ndim - rows.ndim))
    pooled: Floats = (prior.covariance.covariances + rows * averages) / (prior.degrees_of_freedom + rows)
    return pooled
