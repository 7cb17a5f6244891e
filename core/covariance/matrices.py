"""Covariances that are matrices: one a component (full), or one for all (tied)."""

__all__ = ["Full", "Tied"]

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy.linalg import solve_triangular

from core.covariance.base import Covariance, divisors
from core.covariance.squares import FactorSquares, Squares
from core.covariance.terms import FullTerms, TiedTerms
from core.errors import CollapsedComponent, InvalidParameter
from core.linalg import (
    SingularMatrix,
    from_precision_cholesky,
    precision_cholesky,
    precision_cholesky_of_precision,
)
from core.types import Floats, Ints

# Relative to the deviations of both features: what survives a decimal file.
ASYMMETRY = 1e-8


class Matrices(Covariance):
    """What full and tied share: given matrices must be symmetric."""

    @staticmethod
    def products(rows: Floats) -> Floats:
        return rows.T @ rows

    @staticmethod
    def symmetric(name: str, given: Floats) -> Floats:
        transposed = np.swapaxes(given, -1, -2)
        size = np.sqrt(np.abs(np.diagonal(given, axis1=-2, axis2=-1)))
        allowed = ASYMMETRY * size[..., :, None] * size[..., None, :]
        wrong = np.abs(given - transposed) > allowed
        if wrong.any():
            *component, row, column = (int(i) for i in np.argwhere(wrong)[0])
            where = f"component {component[0]}" if component else "the matrix"
            pair = f"{given[*component, row, column]:g} and {given[*component, column, row]:g}"
            detail = f"must be symmetric: {where} has {pair} for features {row} and {column}"
            raise InvalidParameter(name, given, detail)
        return given


class Full(Matrices):
    """Each component has its own covariance matrix: (k, d, d)."""

    name = "full"
    terms = FullTerms

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        scaled = deltas * np.sqrt(counts)[:, None]
        products: Floats = scaled[:, :, None] * scaled[:, None, :]
        return products

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        covariances = scatter / divisors(counts)[:, None, None]
        diagonals = np.einsum("kii->ki", covariances)  # a view
        diagonals += reg_covar
        return covariances

    @staticmethod
    def scattered(counts: Floats, covariances: Floats) -> Floats:
        products: Floats = covariances * counts[:, None, None]
        return products

    @classmethod
    def factor(cls, covariances: Floats, noise: Floats | None = None) -> Floats:
        return _factors(covariances, noise)

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        return _unfactored(precisions)

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

    def squares_about(self, means: Floats) -> Squares:
        return FactorSquares.of(means, self.precisions_cholesky)

    def colour(self, component: int, Z: Floats) -> Floats:
        return _colour(self.precisions_cholesky[component], Z)

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        covariances = np.stack([_mapped(covariance, scale, rotation) for covariance in self.covariances])
        return Full(covariances, self.factor(covariances), self.n_components, self.n_features)


class Tied(Matrices):
    """All components share one covariance matrix: (d, d)."""

    name = "tied"
    terms = TiedTerms

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    @classmethod
    def shape_of_one(cls, n_features: int) -> tuple[int, ...]:
        return cls.shape(1, n_features)

    @staticmethod
    def rows_each(counts: Floats) -> Floats:
        return np.asarray(counts.mean())

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    @classmethod
    def joined(cls, each: Floats) -> Floats:
        total: Floats = each.sum(axis=0)
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

    @staticmethod
    def scattered(counts: Floats, covariances: Floats) -> Floats:
        products: Floats = covariances * counts.sum()
        return products

    @classmethod
    def factor(cls, covariances: Floats, noise: Floats | None = None) -> Floats:
        factors: Floats = _factors(covariances[None], None if noise is None else noise[None], shared=True)[0]
        return factors

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        covariances, factors = _unfactored(precisions[None], shared=True)
        return covariances[0], factors[0]

    @property
    def precisions(self) -> Floats:
        return self.precisions_cholesky @ self.precisions_cholesky.T

    def subset(self, components: Ints) -> "Tied":
        return Tied(self.covariances, self.precisions_cholesky, len(components), self.n_features)

    @property
    def log_det(self) -> Floats:
        return np.full(self.n_components, np.log(np.diagonal(self.precisions_cholesky)).sum())

    def whiten(self, component: int, residuals: Floats) -> Floats:
        return residuals @ self.precisions_cholesky

    def squares_about(self, means: Floats) -> Squares:
        return FactorSquares.of(means, np.broadcast_to(self.precisions_cholesky, (len(means), *self.covariances.shape)))

    def colour(self, component: int, Z: Floats) -> Floats:
        return _colour(self.precisions_cholesky, Z)

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        covariance = _mapped(self.covariances, scale, rotation)
        return Tied(covariance, self.factor(covariance), self.n_components, self.n_features)


def _factors(covariances: Floats, noise: Floats | None, *, shared: bool = False) -> Floats:
    """Precision Cholesky factors of matrices (k, d, d), of which only the variances of the noise matter."""
    floors = np.zeros(1) if noise is None else np.diagonal(noise, axis1=1, axis2=2)
    with _collapse(shared):
        return precision_cholesky(covariances, floors)


def _unfactored(precisions: Floats, *, shared: bool = False) -> tuple[Floats, Floats]:
    with _collapse(shared):
        factors = precision_cholesky_of_precision(precisions)
    return np.stack([from_precision_cholesky(factor) for factor in factors]), factors


@contextmanager
def _collapse(shared: bool) -> Iterator[None]:
    """A matrix without a Cholesky factor is a collapse: of a component, or of what all share."""
    try:
        yield
    except SingularMatrix as error:
        component = None if shared else error.component
        raise CollapsedComponent(component, error.feature, error.pivot, error.bound) from error


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
