"""Covariances that are variances: one a feature (diag), or one for all features (spherical)."""

__all__ = ["Diag", "Spherical"]

import numpy as np

from core.covariance.base import Covariance, divisors
from core.covariance.matrices import Full
from core.covariance.squares import ScaleSquares, Squares
from core.covariance.terms import DiagTerms, SphericalTerms
from core.errors import CollapsedComponent
from core.linalg import TINY
from core.types import Floats


class Variances(Covariance):
    """What diag and spherical share: the factor of a variance is one over its root, and all goes by element."""

    @classmethod
    def factor(cls, covariances: Floats, noise: Floats | None = None) -> Floats:
        _check_positive(covariances, TINY if noise is None else np.maximum(noise, TINY))
        factors: Floats = 1.0 / np.sqrt(covariances)
        return factors

    @classmethod
    def unfactor(cls, precisions: Floats) -> tuple[Floats, Floats]:
        _check_positive(precisions, TINY)
        return 1.0 / precisions, np.sqrt(precisions)

    @property
    def precisions(self) -> Floats:
        return np.square(self.precisions_cholesky)

    def whiten(self, component: int, residuals: Floats) -> Floats:
        z: Floats = residuals * self.precisions_cholesky[component]
        return z

    def squares_about(self, means: Floats) -> Squares:
        return ScaleSquares(means, self.precisions_cholesky.reshape(len(means), -1))

    def colour(self, component: int, Z: Floats) -> Floats:
        residuals: Floats = Z / self.precisions_cholesky[component]
        return residuals


class Diag(Variances):
    """Each component has its own variance a feature: (k, d)."""

    name = "diag"
    terms = DiagTerms

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components * n_features

    @staticmethod
    def products(rows: Floats) -> Floats:
        squares: Floats = np.einsum("ij,ij->j", rows, rows)
        return squares

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        squares: Floats = np.square(deltas * np.sqrt(counts)[:, None])
        return squares

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        variances: Floats = scatter / divisors(counts)[:, None] + reg_covar
        return variances

    @staticmethod
    def scattered(counts: Floats, covariances: Floats) -> Floats:
        squares: Floats = covariances * counts[:, None]
        return squares

    @property
    def log_det(self) -> Floats:
        sums: Floats = np.log(self.precisions_cholesky).sum(axis=1)
        return sums

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        if rotation is None:
            variances = self.covariances * scale * scale
            return Diag(variances, self.factor(variances), self.n_components, self.n_features)
        matrices = np.stack([np.diag(variances) for variances in self.covariances])
        return Full(matrices, Full.factor(matrices), self.n_components, self.n_features).mapped(scale, rotation)


class Spherical(Variances):
    """Each component has one variance for all features: (k,)."""

    name = "spherical"
    terms = SphericalTerms

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    @staticmethod
    def count(n_components: int, n_features: int) -> int:
        return n_components

    @staticmethod
    def products(rows: Floats) -> Floats:
        # The mean over the features, not their sum: it is what becomes the variance.
        squares: Floats = Diag.products(rows).mean()
        return squares

    @staticmethod
    def spread(counts: Floats, deltas: Floats) -> Floats:
        squares: Floats = Diag.spread(counts, deltas).mean(axis=1)
        return squares

    @classmethod
    def average(cls, counts: Floats, scatter: Floats, reg_covar: float) -> Floats:
        variances: Floats = scatter / divisors(counts) + reg_covar
        return variances

    @staticmethod
    def scattered(counts: Floats, covariances: Floats) -> Floats:
        squares: Floats = covariances * counts
        return squares

    @property
    def log_det(self) -> Floats:
        return self.n_features * np.log(self.precisions_cholesky)

    def trace(self, scatter: Floats) -> float:
        return self.n_features * super().trace(scatter)

    def mapped(self, scale: Floats, rotation: Floats | None) -> Covariance:
        if rotation is None and (scale == 1).all():
            return self
        variances = np.repeat(self.covariances[:, None], self.n_features, axis=1)
        return Diag(variances, Diag.factor(variances), self.n_components, self.n_features).mapped(scale, rotation)


def _check_positive(variances: Floats, bounds: Floats | float) -> None:
    positive = variances > bounds
    if positive.all():
        return
    component, *feature = place = tuple(int(i) for i in np.argwhere(~positive)[0])
    variance, bound = float(variances[place]), float(np.broadcast_to(bounds, variances.shape)[place])
    raise CollapsedComponent(component, feature[0] if feature else None, variance, bound)
