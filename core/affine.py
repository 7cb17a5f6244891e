"""Affine maps of rows, with inverse and log-determinant; principal components as one."""

__all__ = ["AffineMap", "PrincipalComponents", "principal_components", "pull_back"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_array, check_matrix, check_rows
from core.errors import InvalidParameter
from core.linalg import EPS
from core.mixture import Mixture
from core.moments import Moments
from core.rows import one_blas_thread
from core.types import Floats


@dataclass(frozen=True)
class AffineMap:
    """z = R ((x − offset) / scale) / units: offset (d,), positive scale (d,), R (p, d) with orthonormal rows.

    No rotation stands for the identity, and no `units` (p,) for ones: whitening divides by them.
    """

    offset: Floats
    scale: Floats
    rotation: Floats | None = None
    units: Floats | None = None

    def __post_init__(self) -> None:
        d = np.size(self.offset)
        check_array("offset", self.offset, (d,))
        if (check_array("scale", self.scale, (d,)) <= 0).any():
            raise InvalidParameter("scale", self.scale, "must be positive")
        if self.rotation is not None:
            R = check_matrix("rotation", self.rotation)
            if R.shape[1] != d:
                raise InvalidParameter("rotation", self.rotation, f"must have {d} columns")
            if not np.allclose(R @ R.T, np.eye(R.shape[0]), atol=1e-6):
                raise InvalidParameter("rotation", self.rotation, "must have orthonormal rows")
        if self.units is not None and (check_array("units", self.units, (self.n_features_out,)) <= 0).any():
            raise InvalidParameter("units", self.units, "must be positive")

    @classmethod
    def identity(cls, n_features: int) -> "AffineMap":
        """z = x."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @property
    def n_features_in(self) -> int:
        """d."""
        return int(self.offset.shape[0])

    @property
    def n_features_out(self) -> int:
        """p."""
        return self.n_features_in if self.rotation is None else self.rotation.shape[0]

    @property
    def is_invertible(self) -> bool:
        """Whether no dimension is lost: p = d."""
        return self.n_features_out == self.n_features_in

    @property
    def log_abs_det(self) -> float:
        """½ log det(A Aᵀ) for the map's matrix A = diag(1 / units) R diag(1 / scale): log |det A| when it is square.

        A density of x is that of z times exp of this; with p < d it is a density on the retained subspace.
        """
        of_units = 0.0 if self.units is None else float(np.log(self.units).sum())
        if self.rotation is None or self.is_invertible:
            return float(-np.log(self.scale).sum()) - of_units
        triangle = np.linalg.qr((self.rotation / self.scale).T, mode="r")
        return float(np.log(np.abs(np.diagonal(triangle))).sum()) - of_units

    def transform(self, X: ArrayLike) -> Floats:
        """z for rows X (n, d), shape (n, p)."""
        rows = check_rows(X, self.n_features_in)
        mapped: Floats = (rows - self.offset) / self.scale
        if self.rotation is not None:
            mapped = mapped @ self.rotation.T
        if self.units is not None:
            mapped /= self.units
        return mapped.astype(rows.dtype, copy=False)

    def inverse_transform(self, Z: ArrayLike) -> Floats:
        """x for rows Z (n, p), shape (n, d): offset + scale · Rᵀ (units · z); the retained part when p < d."""
        rows = check_rows(Z, self.n_features_out)
        rotated = rows if self.units is None else rows * self.units
        if self.rotation is not None:
            rotated = rotated @ self.rotation
        restored: Floats = rotated * self.scale + self.offset
        return restored.astype(rows.dtype, copy=False)


@dataclass(frozen=True)
class PrincipalComponents:
    """The first p principal components: the map on them, singular values σ (p,), and their shares of all variance.

    The variances are σ² / (W − 1) for a total weight W (Jolliffe 2002, §3.5).
    """

    map: AffineMap
    singular_values: Floats
    explained_variance: Floats
    explained_variance_ratio: Floats


def principal_components(
    moments: Moments, spread: Floats, pca: int | float, *, whiten: bool = False
) -> PrincipalComponents:
    """The first principal components of rows in units of `spread` (d,), from the singular values of their triangle.

    `pca` is their count, or the fraction of variance in (0, 1) to be exceeded.
    """
    with one_blas_thread():
        _, singular, loadings = np.linalg.svd(moments.root / spread, full_matrices=False)
    largest = float(singular[0])
    shares = np.square(singular / largest) if largest > 0 else np.zeros_like(singular)
    ratio = shares / shares.sum() if largest > 0 else shares
    count = _enough(ratio, pca) if 0 < pca < 1 else int(pca)
    loadings, ratio, singular = loadings[:count], ratio[:count], singular[:count]
    leading = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=1)[:, None], axis=1)
    rotation = np.ascontiguousarray(loadings * np.where(leading < 0, -1.0, 1.0))
    deviations = singular / np.sqrt(moments.total - 1) if moments.total > 1 else np.zeros_like(singular)
    units = np.where(singular > moments.root.shape[1] * EPS * largest, deviations, 1.0) if whiten else None
    map = AffineMap(moments.mean, spread, rotation, units)
    return PrincipalComponents(map, singular, np.square(deviations), ratio)


def pull_back(mixture: Mixture, map: AffineMap) -> Mixture:
    """The mixture of x = offset + scale · Rᵀ (units · z), where `mixture` is that of z: it in original features.

    Raises `InvalidParameter` unless the map is invertible. The structure of the covariances may widen: diag stays
    diag under scales and becomes full under a rotation.
    """
    if not map.is_invertible:
        raise InvalidParameter("map", map.rotation, "loses dimensions: there is no density of the original features")
    covariance = mixture.covariance if map.units is None else mixture.covariance.mapped(map.units, None)
    return Mixture(mixture.weights, map.inverse_transform(mixture.means), covariance.mapped(map.scale, map.rotation))


def _enough(ratio: Floats, fraction: float) -> int:
    """The least number of components whose shares add up to more than the fraction; one when nothing varies."""
    if not ratio.any():
        return 1
    return min(int(np.searchsorted(np.cumsum(ratio), fraction, side="right")) + 1, ratio.size)
