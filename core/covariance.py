"""The four covariance structures, one class each: full, tied, diag, spherical.

A structure owns everything that depends on it. The rest of the core speaks of z = (x − μ) P, where Σ⁻¹ = P Pᵀ and
P is the *precision Cholesky* factor, held beside the covariances because each density needs it and none needs Σ.
The log-density of a component is then −½ (d log 2π + zᵀz) + log det P (Bishop 2006, eq. 2.43).
"""

__all__ = ["COVARIANCES", "Covariance", "Diag", "Full", "Spherical", "Tied"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from core.checks import check_array
from core.errors import CollapsedComponent, Diverged, InvalidParameter
from core.linalg import (
    SingularMatrix,
    from_precision_cholesky,
    precision_cholesky,
    precision_cholesky_of_precision,
)
from core.types import Floats

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Covariance(ABC):
    """The covariances of `n_components` Gaussians, with the Cholesky factors of their precisions."""

    covariances: Floats
    precisions_cholesky: Floats
    n_components: int
    n_features: int

    name: ClassVar[str]
    matrices: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of `covariances`, `precisions_cholesky` and `precisions`."""

    @staticmethod
    @abstractmethod
    def count(n_components: int, n_features: int) -> int:
        """Number of free parameters."""

    @staticmethod
    @abstractmethod
    def scatter(X: Floats, resp: Floats, means: Floats) -> Floats:
        """Weighted products of residuals: Σₙ rₙₖ (xₙ − μₖ)(xₙ − μₖ)ᵀ, or what of it the structure keeps.

        X (n, d), resp (n, k), means (k, d).
        """

    @staticmethod
    @abstractmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        """What `scatter` gains when means move by `deltas` (k, d) under `counts` (k,): Σ count δ δᵀ."""

    @classmethod
    @abstractmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        """Covariances from scatter, `reg_covar` added to the diagonal (Bishop 2006, eq. 9.25)."""

    @classmethod
    @abstractmethod
    def factor(cls, covariances: Floats) -> Floats:
        """Precision Cholesky factors; raises `CollapsedComponent` naming component and feature."""

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

    @classmethod
    def estimate(cls, counts: Floats, scatter: Floats, n_features: int, reg_covar: float) -> Self:
        """The M-step's covariances. A component without rows gets `reg_covar` alone.

        Raises `CollapsedComponent`, or `Diverged` when a square overflowed.
        """
        covariances = cls.average(counts, scatter, reg_covar)
        if not np.isfinite(covariances).all():
            raise Diverged("a covariance overflowed: scale the data")
        return cls(covariances, cls.factor(covariances), counts.shape[0], n_features)

    @classmethod
    def from_covariances(cls, covariances: ArrayLike, n_components: int, n_features: int) -> Self:
        """Given covariances, validated: shape, symmetry, positive definiteness (`InvalidParameter`)."""
        given = check_array("covariances", covariances, cls.shape(n_components, n_features))
        if cls.matrices:
            _check_symmetric("covariances", given)
        try:
            factors = cls.factor(given)
        except CollapsedComponent as error:
            detail = f"component {error.component} is not positive definite (feature {error.feature})"
            raise InvalidParameter("covariances", covariances, detail) from error
        return cls(given, factors, n_components, n_features)

    @classmethod
    def from_precisions(
        cls, precisions: ArrayLike, n_components: int, n_features: int, name: str = "precisions_init"
    ) -> Self:
        """Given precisions, validated; the parameter is called `name` in what is refused."""
        given = check_array(name, precisions, cls.shape(n_components, n_features))
        if cls.matrices:
            _check_symmetric(name, given)
        try:
            covariances, factors = cls.unfactor(given)
        except CollapsedComponent as error:
            detail = f"component {error.component} is not positive definite (feature {error.feature})"
            raise InvalidParameter(name, precisions, detail) from error
        return cls(covariances, factors, n_components, n_features)

    def squared_mahalanobis(self, X: Floats, means: Floats) -> Floats:
        """(x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ), shape (n, k); infinite where it overflows.

        The mean is taken off before the factor is applied: (x P − μ P) would lose the digits of a far origin.
        """
        squares = np.empty((X.shape[0], self.n_components))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for component in range(self.n_components):
                z = self.whiten(component, X - means[component])
                np.einsum("ij,ij->i", z, z, out=squares[:, component])
        # inf − inf inside a product: the distance overflowed all the same.
        squares[np.isnan(squares)] = np.inf
        return squares

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.count(self.n_components, self.n_features)


class Full(Covariance):
    """Each component has its own covariance matrix: (k, d, d)."""

    name = "full"
    matrices = True

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    @staticmethod
    def scatter(X: Floats, resp: Floats, means: Floats) -> Floats:
        # Rows scaled by √r make the product A Aᵀ: symmetric and positive semi-definite to the last bit.
        root = np.sqrt(resp)
        products = np.empty((means.shape[0], X.shape[1], X.shape[1]))
        for component, mean in enumerate(means):
            scaled = (X - mean) * root[:, component, None]
            np.matmul(scaled.T, scaled, out=products[component])
        return products

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        scaled = deltas * np.sqrt(counts)[:, None]
        products: Floats = scaled[:, :, None] * scaled[:, None, :]
        return products

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        covariances = scatter / np.where(counts > TINY, counts, 1.0)[:, None, None]
        diagonal = np.arange(covariances.shape[1])
        covariances[:, diagonal, diagonal] += reg_covar
        return covariances

    @classmethod
    def factor(cls, covariances: Floats) -> Floats:
        return np.stack([_factor(covariance, k) for k, covariance in enumerate(covariances)])

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        factors = np.stack([_factor_precision(precision, k) for k, precision in enumerate(precisions)])
        return np.stack([from_precision_cholesky(factor) for factor in factors]), factors

    @property
    def precisions(self) -> Floats:
        products: Floats = self.precisions_cholesky @ self.precisions_cholesky.transpose(0, 2, 1)
        return products

    @property
    def log_det(self) -> Floats:
        sums: Floats = np.log(np.diagonal(self.precisions_cholesky, axis1=1, axis2=2)).sum(axis=1)
        return sums

    def whiten(self, component: int, residuals: Floats) -> Floats:
        z: Floats = residuals @ self.precisions_cholesky[component]
        return z

    def colour(self, component: int, Z: Floats) -> Floats:
        return _colour(self.precisions_cholesky[component], Z)

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        covariances = np.stack([_mapped(covariance, scale, rotation) for covariance in self.covariances])
        return Full(covariances, self.factor(covariances), self.n_components, self.n_features)


class Tied(Covariance):
    """All components share one covariance matrix: (d, d)."""

    name = "tied"
    matrices = True

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    @staticmethod
    def scatter(X: Floats, resp: Floats, means: Floats) -> Floats:
        root = np.sqrt(resp)
        total = np.zeros((X.shape[1], X.shape[1]))
        for component, mean in enumerate(means):
            scaled = (X - mean) * root[:, component, None]
            total += scaled.T @ scaled
        return total

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        scaled = deltas * np.sqrt(counts)[:, None]
        return scaled.T @ scaled

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        covariance: Floats = scatter / counts.sum()
        diagonal = np.arange(covariance.shape[0])
        covariance[diagonal, diagonal] += reg_covar
        return covariance

    @classmethod
    def factor(cls, covariances: Floats) -> Floats:
        return _factor(covariances, 0)

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        factor = _factor_precision(precisions, 0)
        return from_precision_cholesky(factor), factor

    @property
    def precisions(self) -> Floats:
        return self.precisions_cholesky @ self.precisions_cholesky.T

    @property
    def log_det(self) -> Floats:
        return np.full(self.n_components, np.log(np.diagonal(self.precisions_cholesky)).sum())

    def whiten(self, component: int, residuals: Floats) -> Floats:
        return residuals @ self.precisions_cholesky

    def colour(self, component: int, Z: Floats) -> Floats:
        return _colour(self.precisions_cholesky, Z)

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        covariance = _mapped(self.covariances, scale, rotation)
        return Tied(covariance, self.factor(covariance), self.n_components, self.n_features)


class Diag(Covariance):
    """Each component has its own variance a feature: (k, d)."""

    name = "diag"

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components * n_features

    @staticmethod
    def scatter(X: Floats, resp: Floats, means: Floats) -> Floats:
        squares = np.empty_like(means)
        for component, mean in enumerate(means):
            squares[component] = resp[:, component] @ (X - mean) ** 2
        return squares

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        squares: Floats = counts[:, None] * deltas**2
        return squares

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        variances: Floats = scatter / np.where(counts > TINY, counts, 1.0)[:, None] + reg_covar
        return variances

    @classmethod
    def factor(cls, covariances: Floats) -> Floats:
        _check_positive(covariances)
        factors: Floats = 1.0 / np.sqrt(covariances)
        return factors

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        _check_positive(precisions)
        return 1.0 / precisions, np.sqrt(precisions)

    @property
    def precisions(self) -> Floats:
        return np.square(self.precisions_cholesky)

    @property
    def log_det(self) -> Floats:
        sums: Floats = np.log(self.precisions_cholesky).sum(axis=1)
        return sums

    def whiten(self, component: int, residuals: Floats) -> Floats:
        z: Floats = residuals * self.precisions_cholesky[component]
        return z

    def colour(self, component: int, Z: Floats) -> Floats:
        residuals: Floats = Z / self.precisions_cholesky[component]
        return residuals

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        if rotation is None:
            variances = self.covariances * scale * scale
            return Diag(variances, self.factor(variances), self.n_components, self.n_features)
        matrices = np.stack([np.diag(variances) for variances in self.covariances])
        return Full(matrices, Full.factor(matrices), self.n_components, self.n_features).mapped(scale, rotation)


class Spherical(Covariance):
    """Each component has one variance for all features: (k,)."""

    name = "spherical"

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components

    @staticmethod
    def scatter(X: Floats, resp: Floats, means: Floats) -> Floats:
        # The mean over the features, not their sum: it is what becomes the variance.
        squares: Floats = Diag.scatter(X, resp, means).mean(axis=1)
        return squares

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        squares: Floats = Diag.spread(counts, deltas).mean(axis=1)
        return squares

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        variances: Floats = scatter / np.where(counts > TINY, counts, 1.0) + reg_covar
        return variances

    @classmethod
    def factor(cls, covariances: Floats) -> Floats:
        _check_positive(covariances)
        factors: Floats = 1.0 / np.sqrt(covariances)
        return factors

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        _check_positive(precisions)
        return 1.0 / precisions, np.sqrt(precisions)

    @property
    def precisions(self) -> Floats:
        return np.square(self.precisions_cholesky)

    @property
    def log_det(self) -> Floats:
        return self.n_features * np.log(self.precisions_cholesky)

    def whiten(self, component: int, residuals: Floats) -> Floats:
        scaled: Floats = residuals * self.precisions_cholesky[component]
        return scaled

    def colour(self, component: int, Z: Floats) -> Floats:
        scaled: Floats = Z / self.precisions_cholesky[component]
        return scaled

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        if rotation is None and (scale == 1).all():
            return self
        variances = np.repeat(self.covariances[:, None], self.n_features, axis=1)
        return Diag(variances, Diag.factor(variances), self.n_components, self.n_features).mapped(scale, rotation)


COVARIANCES: dict[str, type[Covariance]] = {kind.name: kind for kind in (Full, Tied, Diag, Spherical)}


def _factor(covariance: Floats, component: int) -> Floats:
    try:
        return precision_cholesky(covariance)
    except SingularMatrix as error:
        raise CollapsedComponent(component, error.feature) from error


def _factor_precision(precision: Floats, component: int) -> Floats:
    try:
        return precision_cholesky_of_precision(precision)
    except SingularMatrix as error:
        raise CollapsedComponent(component, error.feature) from error


def _colour(factor: Floats, Z: Floats) -> Floats:
    # x − μ = z P⁻¹, by substitution in the triangle.
    residuals: Floats = solve_triangular(factor.T, Z.T, lower=True, check_finite=False).T
    return residuals


def _mapped(covariance: Floats, scale: Floats, rotation: Floats | None) -> Floats:
    rotated = covariance if rotation is None else rotation.T @ covariance @ rotation
    # A rotated matrix is symmetric up to round-off only; the mean with its transpose is, exactly.
    symmetric = (rotated + rotated.T) / 2
    scaled: Floats = symmetric * scale[:, None] * scale[None, :]
    return scaled


def _check_positive(variances: Floats) -> None:
    if (variances > 0).all():
        return
    component, *feature = (int(i) for i in np.argwhere(~(variances > 0))[0])
    raise CollapsedComponent(component, feature[0] if feature else None)


def _check_symmetric(name: str, matrices: Floats) -> None:
    """Refuses given matrices (the last two axes) that differ from their transposes by more than round-off."""
    transposed = np.swapaxes(matrices, -1, -2)
    size = np.sqrt(np.abs(np.diagonal(matrices, axis1=-2, axis2=-1)))
    allowed = 1e-8 * size[..., :, None] * size[..., None, :]
    if (np.abs(matrices - transposed) > allowed).any():
        raise InvalidParameter(name, matrices, "must be symmetric")
