"""A Gaussian mixture: its parameters, its log-densities, and the two steps of EM over chunks of rows."""

__all__ = [
    "Mixture",
    "Statistics",
    "combine",
    "e_step",
    "log_responsibilities",
    "m_step",
    "statistics_of",
    "statistics_of_groups",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, pi
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.checks import check_choice, check_integer, check_matrix, check_rows, check_weights
from core.covariance import COVARIANCES, Covariance
from core.covariance.base import divisors
from core.densities import LogDensities
from core.linalg import TINY, row_norms
from core.rows import Chunk, chunk_slices
from core.types import Floats, Ints

Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True)
class Mixture:
    """p(x) = Σₖ πₖ N(x | μₖ, Σₖ) (Bishop 2006, eq. 9.7): weights π (k,), means μ (k, d), and the covariances."""

    weights: Floats
    means: Floats
    covariance: Covariance

    @classmethod
    def from_parameters(
        cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str
    ) -> "Mixture":
        """A mixture from given parameters; means (k, d), covariances in scikit-learn's shape for the type.

        Raises `InvalidParameter` for a wrong shape, weights that do not sum to 1, or a covariance that is not
        symmetric positive definite, naming the component.
        """
        structure = COVARIANCES[check_choice("covariance_type", covariance_type, COVARIANCES)]
        k, d = check_matrix("means", means).shape
        return cls(
            check_weights("weights", weights, k),
            check_matrix("means", means),
            structure.from_covariances(covariances, k, d),
        )

    @property
    def n_components(self) -> int:
        """k."""
        return int(self.means.shape[0])

    @property
    def n_features(self) -> int:
        """d."""
        return int(self.means.shape[1])

    @property
    def covariance_type(self) -> str:
        """Name of the covariance structure."""
        return self.covariance.name

    @property
    def covariances(self) -> Floats:
        """Full (k, d, d), tied (d, d), diag (k, d), spherical (k,)."""
        return self.covariance.covariances

    @property
    def n_parameters(self) -> int:
        """Free parameters: means, covariances, and weights but one."""
        return self.means.size + self.covariance.n_parameters + self.n_components - 1

    @cached_property
    def log_densities(self) -> LogDensities:
        """log πₖ N(x | μₖ, Σₖ), as the E-step asks for it."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        offsets = log_weights + self.covariance.log_det - 0.5 * self.n_features * log(2 * pi)
        return LogDensities(offsets, self.means, self.covariance)

    def log_prob(self, X: ArrayLike) -> Floats:
        """log N(xₙ | μₖ, Σₖ), shape (n, k); −inf where the density is below every float."""
        constant = self.n_features * log(2 * pi)

        def of(rows: Floats) -> tuple[Floats]:
            squares = self.covariance.squared_mahalanobis(rows, self.means)
            return (self.covariance.log_det - 0.5 * (constant + squares),)

        return self._by_chunks(X, of)[0]

    def score_samples(self, X: ArrayLike) -> Floats:
        """log p(xₙ), shape (n,), in nats."""
        (log_density,) = self._by_chunks(X, lambda rows: self.log_densities.log_responsibilities(rows)[:1])
        return log_density

    def log_responsibilities(self, X: ArrayLike) -> tuple[Floats, Floats]:
        """log p(xₙ), shape (n,), and log p(k | xₙ), shape (n, k) (Bishop 2006, eq. 9.13)."""
        log_density, log_resp = self._by_chunks(X, self.log_densities.log_responsibilities)
        return log_density, np.ascontiguousarray(log_resp)

    def predict(self, X: ArrayLike) -> Ints:
        """The most probable component of each row, shape (n,)."""
        return self._by_chunks(X, lambda rows: (self.log_densities.most_probable(rows),))[0]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """p(k | xₙ), shape (n, k); finite, and each row sums to 1 however far it lies."""
        return self._by_chunks(X, lambda rows: (self.log_densities.responsibilities(rows),))[0]

    def mahalanobis(self, X: ArrayLike) -> Floats:
        """Distance of each row to each component in its own metric, shape (n, k): √((x−μ)ᵀ Σ⁻¹ (x−μ))."""
        return self._by_chunks(X, lambda rows: (_mahalanobis(self, rows),))[0]

    def sample(self, n_samples: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        """Draws rows (n_samples, d) and their components (n_samples,), grouped by component."""
        check_integer("n_samples", n_samples, 1)
        counts = rng.multinomial(n_samples, self.weights / self.weights.sum())
        groups = [
            mean + self.covariance.colour(k, rng.standard_normal((count, self.n_features)))
            for k, (mean, count) in enumerate(zip(self.means, counts, strict=True))
        ]
        return np.concatenate(groups), np.repeat(np.arange(self.n_components), counts)

    def _by_chunks(self, X: ArrayLike, function: Callable[[Floats], tuple[Array, ...]]) -> tuple[Array, ...]:
        """Results of a function of rows, chunk by chunk: its temporaries stay small whatever n is."""
        rows = check_rows(X, self.n_features)
        slices = chunk_slices(rows.shape[0], rows.shape[1], self.n_components)
        parts = [function(rows[part]) for part in slices]
        if len(parts) == 1:
            return parts[0]
        joined: list[Any] = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        return tuple(joined)


def _mahalanobis(mixture: Mixture, X: Floats) -> Floats:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        norms = [row_norms(mixture.covariance.whiten(k, X - mean)) for k, mean in enumerate(mixture.means)]
    # inf − inf inside a product: the distance overflowed all the same.
    return np.nan_to_num(np.stack(norms, axis=1), copy=False, nan=np.inf, posinf=np.inf)


def log_responsibilities(mixture: Mixture, X: Floats) -> tuple[Floats, Floats]:
    """The E-step on rows already checked: log p(xₙ) (n,) and log rₙₖ (n, k) (Bishop 2006, eq. 9.23)."""
    return mixture.log_densities.log_responsibilities(X)


@dataclass(frozen=True)
class Statistics:
    """What the M-step needs of any number of rows, each with its weight w.

    `log_likelihood` Σ w log p(x); `total` Σ w; `counts` Nₖ = Σ w rₖ (k,); `means` (k, d), the weighted mean of each
    component; `scatter`, products of residuals from *these* means in the covariance structure's shape.
    """

    log_likelihood: float
    total: float
    counts: Floats
    means: Floats
    scatter: Floats

    def times(self, factor: float) -> "Statistics":
        """Statistics of the same rows with weights multiplied by a factor."""
        return Statistics(
            self.log_likelihood * factor, self.total * factor, self.counts * factor, self.means, self.scatter * factor
        )


def statistics_of(structure: type[Covariance], X: Floats, resp: Floats, log_likelihood: float) -> Statistics:
    """Statistics of rows X (n, d) under weighted responsibilities (n, k).

    Means are taken about the first row and residuals about the means: an offset shared by all rows drops out
    before anything is squared.
    """
    counts = resp.sum(axis=0)
    reference = X[0]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        means = reference + (resp.T @ (X - reference)) / divisors(counts)[:, None]
        scatter = structure.scatter(X, resp, means)
    return Statistics(log_likelihood, float(counts.sum()), counts, means, scatter)


def statistics_of_groups(
    structure: type[Covariance],
    rows: Floats,
    resp: Floats,
    components: Ints,
    groups: Sequence[tuple[int, slice]],
    references: Floats,
) -> Statistics:
    """Statistics where each of the rows (q, d), with its weighted responsibility (q,), is one component's (q,).

    Rows of a component are together: `groups` says where. Means are taken about `references` (k, d), and residuals
    about the means.
    """
    k, d = references.shape
    counts, means, scatter = np.zeros(k), references.astype(np.float64), np.zeros((k, *structure.shape_of_one(d)))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for component, part in groups:
            counts[component] = resp[part].sum()
            shift = resp[part] @ (rows[part] - means[component])
            means[component] += shift / max(counts[component], TINY)
        residuals = rows - means[components]
        residuals *= np.sqrt(resp)[:, None]
        for component, part in groups:
            scatter[component] = structure.products(residuals[part])
        joined = structure.joined(scatter)
    return Statistics(0.0, float(counts.sum()), counts, means, joined)


def combine(structure: type[Covariance], a: Statistics, b: Statistics) -> Statistics:
    """Statistics of two sets of rows together (Chan, Golub & LeVeque 1979).

    Scatter about the joint mean is the sum of both plus NₐN_b/(Nₐ+N_b) δδᵀ, δ the difference of the means: only
    non-negative terms are added, so nothing cancels.
    """
    counts = a.counts + b.counts
    share = b.counts / divisors(counts)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        deltas = b.means - a.means
        means = a.means + deltas * share[:, None]
        scatter = a.scatter + b.scatter + structure.spread(a.counts * share, deltas)
    return Statistics(a.log_likelihood + b.log_likelihood, a.total + b.total, counts, means, scatter)


def e_step(model: Mixture | LogDensities, chunk: Chunk) -> Statistics:
    """Statistics of a chunk under the responsibilities that the model gives it (Bishop 2006, eq. 9.23)."""
    densities = model.log_densities if isinstance(model, Mixture) else model
    log_density, log_resp = densities.log_responsibilities(chunk.X)
    weight = chunk.sample_weight
    with np.errstate(under="ignore"):
        resp = np.exp(log_resp) * weight[:, None]
    return statistics_of(type(densities.covariance), chunk.X, resp, float(weight @ log_density))


def m_step(structure: type[Covariance], statistics: Statistics, reg_covar: float) -> Mixture:
    """The mixture that maximises the expected log-likelihood (Bishop 2006, eq. 9.24–9.26; Dempster et al. 1977).

    A component without rows keeps weight 0 and waits at the mean of all rows, with `reg_covar` for covariance.
    Raises `CollapsedComponent` or `Diverged`.
    """
    counts = statistics.counts
    weights = counts / counts.sum()
    empty = counts <= TINY
    means = statistics.means
    if np.count_nonzero(empty):
        means = np.where(empty[:, None], weights @ means, means)
    covariance = structure.estimate(counts, statistics.scatter, means, reg_covar)
    return Mixture(weights, means, covariance)
