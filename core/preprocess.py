"""Standardisation and principal components as one affine map, with its inverse and its log-determinant."""

__all__ = ["AffineMap", "check_preprocess", "fit_preprocess", "pull_back"]

from dataclasses import dataclass
from functools import reduce
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from core.checks import (
    check_array,
    check_choice,
    check_integer,
    check_matrix,
    check_real,
    check_rows,
    check_sample_weight,
)
from core.covariance import Diag
from core.errors import InvalidParameter
from core.mixture import Mixture, Statistics, combine, statistics_of
from core.rows import Chunk, chunk_rows, map_reduce, one_blas_thread
from core.types import Floats


@dataclass(frozen=True)
class AffineMap:
    """z = R ((x − offset) / scale): offset (d,), scale (d,) positive, rotation R (p, d) with orthonormal rows.

    No rotation stands for the identity. `explained_variance_ratio` (p,) is what each principal component keeps.
    """

    offset: Floats
    scale: Floats
    rotation: Floats | None = None
    explained_variance_ratio: Floats | None = None

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
        """½ log det(A Aᵀ) for the map's matrix A = R diag(1 / scale): log |det A| when it is square.

        A density of x is that of z times exp of this; with p < d it is a density on the retained subspace.
        """
        if self.rotation is None or self.is_invertible:
            return float(-np.log(self.scale).sum())
        triangle = np.linalg.qr((self.rotation / self.scale).T, mode="r")
        return float(np.log(np.abs(np.diagonal(triangle))).sum())

    def transform(self, X: ArrayLike) -> Floats:
        """z for rows X (n, d), shape (n, p)."""
        scaled: Floats = (check_rows(X, self.n_features_in) - self.offset) / self.scale
        return scaled if self.rotation is None else scaled @ self.rotation.T

    def inverse_transform(self, Z: ArrayLike) -> Floats:
        """x for rows Z (n, p), shape (n, d): offset + scale · Rᵀ z; the retained part when p < d."""
        rows = check_rows(Z, self.n_features_out)
        rotated = rows if self.rotation is None else rows @ self.rotation
        restored: Floats = rotated * self.scale + self.offset
        return restored


def fit_preprocess(
    X: ArrayLike,
    scale: str = "none",
    pca: int | float | None = None,
    sample_weight: ArrayLike | None = None,
) -> AffineMap:
    """The map that standardises (`scale="standard"`) and then projects on principal components (`pca`).

    `pca` is None, a count of components, or the fraction of variance in (0, 1) that they must exceed. A feature
    without variance keeps scale 1. The sign of a component makes its largest loading positive. Raises
    `InvalidParameter` for `pca` above min(n, d).
    """
    rows = check_rows(X)
    check_preprocess(scale, pca, *rows.shape)
    weight = check_sample_weight(sample_weight, rows.shape[0])
    if scale == "none" and pca is None:
        return AffineMap.identity(rows.shape[1])
    chunks = chunk_rows(rows, weight, 1)
    offset, deviation = _moments(chunks)
    spread = deviation if scale == "standard" else np.ones_like(offset)
    if pca is None:
        return AffineMap(offset, spread)
    with one_blas_thread():
        triangle = reduce(_triangle, (_scaled(chunk, offset, spread) for chunk in chunks))
        _, singular, loadings = np.linalg.svd(triangle, full_matrices=False)
    total = float((singular**2).sum())
    ratio = singular**2 / total if total > 0 else np.zeros_like(singular)
    count = _enough(ratio, pca) if 0 < pca < 1 else int(pca)
    loadings, ratio = loadings[:count], ratio[:count]
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=1)[:, None], axis=1)
    return AffineMap(offset, spread, np.ascontiguousarray(loadings * np.where(largest < 0, -1.0, 1.0)), ratio)


def check_preprocess(scale: object, pca: object, n_samples: int, n_features: int) -> None:
    """Refuses, before any row is read, what `fit_preprocess` would."""
    check_choice("scale", scale, ("none", "standard"))
    if pca is None:
        return
    if isinstance(pca, Integral):
        largest = min(n_samples, n_features)
        if check_integer("pca", pca, 1) > largest:
            raise InvalidParameter("pca", pca, f"must be at most min(rows, features) = {largest}")
    elif not 0 < check_real("pca", pca, 0.0) < 1:
        raise InvalidParameter("pca", pca, "must be a count, or a fraction of variance between 0 and 1")


def pull_back(mixture: Mixture, map: AffineMap) -> Mixture:
    """The mixture of x = offset + scale · Rᵀ z, where `mixture` is that of z: the same model in original features.

    Raises `InvalidParameter` unless the map is invertible. The structure of the covariances may widen: diag stays
    diag under scales and becomes full under a rotation.
    """
    if not map.is_invertible:
        raise InvalidParameter("map", map.rotation, "loses dimensions: there is no density of the original features")
    covariance = mixture.covariance.mapped(map.scale, map.rotation)
    return Mixture(mixture.weights, map.inverse_transform(mixture.means), covariance)


def _moments(chunks: list[Chunk]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature, the latter 1 where it is nothing but round-off."""

    def statistics(chunk: Chunk) -> Statistics:
        return statistics_of(Diag, chunk.X, chunk.sample_weight[:, None], 0.0)

    total = map_reduce(statistics, chunks, lambda a, b: combine(Diag, a, b))
    mean = total.means[0]
    deviation = np.sqrt(total.scatter[0] / total.total)
    round_off = 4 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(deviation > round_off, deviation, 1.0)


def _scaled(chunk: Chunk, offset: Floats, spread: Floats) -> Floats:
    scaled: Floats = (chunk.X - offset) / spread * np.sqrt(chunk.sample_weight)[:, None]
    return scaled


def _triangle(above: Floats, below: Floats) -> Floats:
    """R of the QR factorisation of both stacked: the singular values of the rows without their squares."""
    return np.linalg.qr(np.concatenate([above, below]))[1]


def _enough(ratio: Floats, fraction: float) -> int:
    """The least number of components whose shares add up to more than the fraction; one when nothing varies."""
    if not ratio.any():
        return 1
    return min(int(np.searchsorted(np.cumsum(ratio), fraction, side="right")) + 1, ratio.size)
