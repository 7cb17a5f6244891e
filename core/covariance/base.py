"""What the rest of the core asks of a covariance structure, whichever it is.

It speaks of z = (x − μ) P, where Σ⁻¹ = P Pᵀ and P is the *precision Cholesky* factor, held beside the covariances
because each density needs it and none needs Σ. The log-density of a component is then
−½ (d log 2π + zᵀz) + log det P (Bishop 2006, eq. 2.43).
"""

__all__ = ["Covariance", "divisors"]

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_array
from core.covariance.squares import Squares
from core.errors import CollapsedComponent, Diverged, InvalidParameter
from core.linalg import EPS, TINY
from core.types import Floats, Ints

if TYPE_CHECKING:
    from core.covariance.terms import Terms

# Relative error of a mean of equal rows, and of the residuals from it.
ROUND_OFF = 4 * EPS


@dataclass(frozen=True)
class Covariance(ABC):
    """The covariances of `n_components` Gaussians, with the Cholesky factors of their precisions."""

    covariances: Floats
    precisions_cholesky: Floats
    n_components: int
    n_features: int

    name: ClassVar[str]
    terms: ClassVar[type["Terms"]]

    @staticmethod
    @abstractmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of `covariances`, `precisions_cholesky` and `precisions`."""

    @classmethod
    def shape_of_one(cls, n_features: int) -> tuple[int, ...]:
        """Shape of one component's covariance."""
        return cls.shape(1, n_features)[1:]

    @staticmethod
    def rows_each(counts: Floats) -> Floats:
        """How many rows stand behind each covariance: `counts` (k,), or their mean () behind a shared one."""
        return counts

    @staticmethod
    @abstractmethod
    def count(n_components: int, n_features: int) -> int:
        """Number of free parameters."""

    @staticmethod
    @abstractmethod
    def products(rows: Floats) -> Floats:
        """Σₙ aₙ aₙᵀ of rows a (n, d), or what of it the structure keeps, in the shape of one component's covariance."""

    @classmethod
    def scatter(cls, X: Floats, resp: Floats, means: Floats) -> Floats:
        """Weighted products of residuals: Σₙ rₙₖ (xₙ − μₖ)(xₙ − μₖ)ᵀ, or what of it the structure keeps.

        X (n, d), resp (n, k), means (k, d). The root of r goes in before the product, which is then symmetric and
        positive semi-definite to the last bit; and a row that is none of the component's cannot overflow in it.
        """
        root = np.sqrt(resp)
        scaled = np.empty(X.shape)
        scatter = np.empty((len(means), *cls.shape_of_one(X.shape[1])))
        for component, mean in enumerate(means):
            np.subtract(X, mean, out=scaled)
            scaled *= root[:, component, None]
            scatter[component] = cls.products(scaled)
        return cls.joined(scatter)

    @classmethod
    def joined(cls, each: Floats) -> Floats:
        """The scatter of all components from that of each one."""
        return each

    @staticmethod
    @abstractmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        """What `scatter` gains when means move by `deltas` (k, d) under `counts` (k,): Σ count δ δᵀ."""

    @classmethod
    @abstractmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        """Covariances from scatter, `reg_covar` added to the diagonal (Bishop 2006, eq. 9.25)."""

    @staticmethod
    @abstractmethod
    def scattered(counts: Floats, covariances: Floats) -> Floats:
        """The scatter of which these covariances are the `average`, without regularisation."""

    @classmethod
    @abstractmethod
    def factor(cls, covariances: Floats, noise: Floats | None = None) -> Floats:
        """Precision Cholesky factors; raises `CollapsedComponent` naming component and feature.

        A variance that is not above its `noise`, covariances of nothing but round-off, is none.
        """

    @classmethod
    @abstractmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        """Covariances and precision Cholesky factors from precisions."""

    @property
    @abstractmethod
    def precisions(self) -> Floats:
        """P Pᵀ, in the shape of the covariances."""

    @property
    @abstractmethod
    def log_det(self) -> Floats:
        """log det P of each component, shape (n_components,): minus half the log-determinant of Σ."""

    @abstractmethod
    def whiten(self, component: int, residuals: Floats) -> Floats:
        """z = (x − μ) P for residuals (n, d) of a component; linear in the residuals."""

    @abstractmethod
    def colour(self, component: int, Z: Floats) -> Floats:
        """The inverse of `whiten`: residuals with the component's covariance from white noise Z (n, d)."""

    @abstractmethod
    def mapped(self, scale: Floats, rotation: Floats | None) -> "Covariance":
        """Covariances of x = scale · (Rᵀ z) where z has these; scale (d,), R (d, d) orthogonal or None for 1."""

    def subset(self, components: Ints) -> Self:
        """The covariances of some components, by their indices."""
        chosen = self.covariances[components], self.precisions_cholesky[components]
        return type(self)(*chosen, len(components), self.n_features)

    @classmethod
    def estimate(cls, counts: Floats, scatter: Floats, means: Floats, reg_covar: float) -> Self:
        """The M-step's covariances. A component without rows gets `reg_covar` alone.

        Without regularisation, what the round-off of `means` (k, d) would leave of equal rows counts as nothing: else
        a component alone with one row would live on as a spike of noise. Raises `CollapsedComponent`, or `Diverged`
        when a square overflowed.
        """
        covariances = cls.average(counts, scatter, reg_covar)
        if not np.isfinite(covariances).all():
            raise Diverged("the square of a residual is above the largest float, 1.8e308: scale the data")
        noise = None
        if not reg_covar > 0:
            with np.errstate(over="ignore"):
                noise = cls.average(counts, cls.spread(counts, ROUND_OFF * means), 0.0)
        return cls(covariances, cls.factor(covariances, noise), *means.shape)

    @classmethod
    def from_covariances(cls, covariances: ArrayLike, n_components: int, n_features: int) -> Self:
        """Given covariances, validated: shape, symmetry, positive definiteness (`InvalidParameter`)."""
        given = check_array("covariances", covariances, cls.shape(n_components, n_features))
        with _refused_as("covariances", given):
            return cls(given, cls.factor(cls.symmetric("covariances", given)), n_components, n_features)

    @classmethod
    def from_precisions(cls, precisions: ArrayLike, n_components: int, n_features: int) -> Self:
        """Given precisions, validated like covariances; they are refused as `precisions_init`."""
        given = check_array("precisions_init", precisions, cls.shape(n_components, n_features))
        with _refused_as("precisions_init", given):
            return cls(*cls.unfactor(cls.symmetric("precisions_init", given)), n_components, n_features)

    @staticmethod
    def symmetric(name: str, given: Floats) -> Floats:
        """The given array, refused when its matrices differ from their transposes; variances have none."""
        return given

    @abstractmethod
    def squares_about(self, means: Floats) -> Squares:
        """Squared distances to means (k, d), as a function of rows."""

    def squared_mahalanobis(self, X: Floats, means: Floats) -> Floats:
        """(x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ), shape (n, k); infinite where it overflows."""
        return self.squares_about(means)(X).T

    def trace(self, scatter: Floats) -> float:
        """Σₖ tr(Σₖ⁻¹ Tₖ): the squared distances of the rows whose scatter about the means is T, summed."""
        return float((self.precisions * scatter).sum())

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.count(self.n_components, self.n_features)


@contextmanager
def _refused_as(name: str, value: Floats) -> Iterator[None]:
    """A given matrix that has no Cholesky factor is a wrong parameter, not a failed fit."""
    try:
        yield
    except CollapsedComponent as error:
        where = f",{error.place}" if error.place else ""
        raise InvalidParameter(name, value, f"must be positive definite; {error.subject} is not{where}") from error


def divisors(counts: Floats) -> Floats:
    """Counts (k,) to divide by; 1 for a component without rows."""
    positive = counts > TINY
    return counts if np.count_nonzero(positive) == positive.size else np.where(positive, counts, 1.0)
