"""The four operations on triangles and norms that everything else is made of."""

__all__ = [
    "EPS",
    "TINY",
    "SingularMatrix",
    "from_precision_cholesky",
    "power_of_two",
    "precision_cholesky",
    "precision_cholesky_of_precision",
    "row_norms",
]

from math import frexp, ldexp
from typing import NoReturn

import numpy as np
from scipy.linalg import lapack

from core.types import Floats

# Above this, a square may overflow; below its inverse, it may vanish.
SQUARE_ROOT_OF_LARGEST = 1e150

EPS = float(np.finfo(np.float64).eps)

# The least float with all its digits: no count and no variance below it is one to compute with.
TINY = float(np.finfo(np.float64).tiny)


class SingularMatrix(ArithmeticError):
    """A matrix is not positive definite in floating point: the `pivot` of a `feature` is not above its `bound`."""

    def __init__(self, feature: int, pivot: float, bound: float) -> None:
        super().__init__(feature, pivot, bound)
        self.feature = feature
        self.pivot = pivot
        self.bound = bound


def precision_cholesky(covariance: Floats, noise: Floats) -> Floats:
    """The upper triangle P with Σ⁻¹ = P Pᵀ, so that z = (x − μ) P is white; Σ has shape (d, d).

    From Σ = L Lᵀ one has P = L⁻ᵀ. Raises `SingularMatrix` with the feature whose variance, given the features
    before it, is not above the round-off of its own variance, its `noise` (d,), and the least normal float: such a
    pivot is noise, and a density computed from it would be, too.
    """
    lower, info = lapack.dpotrf(covariance, lower=1)
    diagonal = np.diagonal(lower).copy()
    # LAPACK leaves the pivot at which it stopped as it is, before the root.
    pivots = np.square(diagonal)
    bounds = np.maximum(covariance.shape[0] * EPS * np.diagonal(covariance), np.maximum(noise, TINY))
    if info > 0:
        _refuse(info - 1, min(diagonal[info - 1], 0.0), bounds)
    if (pivots <= bounds).any():
        first = int(np.argmax(pivots <= bounds))
        _refuse(first, pivots[first], bounds)
    return np.ascontiguousarray(_inverse_of_triangle(lower).T)


def _refuse(feature: int, pivot: float, bounds: Floats) -> NoReturn:
    raise SingularMatrix(feature, float(pivot), float(bounds[feature]))


def precision_cholesky_of_precision(precision: Floats) -> Floats:
    """The upper triangle P with Λ = P Pᵀ, from the precision matrix Λ (d, d).

    With J the exchange of first and last, J Λ J = L Lᵀ gives P = J L J.
    """
    lower, info = lapack.dpotrf(np.ascontiguousarray(precision[::-1, ::-1]), lower=1)
    if info > 0:
        raise SingularMatrix(precision.shape[0] - info, min(float(lower[info - 1, info - 1]), 0.0), 0.0)
    return np.ascontiguousarray(np.tril(lower)[::-1, ::-1])


def from_precision_cholesky(triangle: Floats) -> Floats:
    """The covariance Σ = P⁻ᵀ P⁻¹ of a precision Cholesky factor P (d, d)."""
    half = _inverse_of_triangle(np.ascontiguousarray(triangle.T))
    covariance: Floats = half @ half.T
    return covariance


def _inverse_of_triangle(lower: Floats) -> Floats:
    """L⁻¹ of a lower triangle: backward stable, as the inverse of a whole matrix is not."""
    inverse, _ = lapack.dtrtri(lower, lower=1)
    return np.tril(inverse)


def power_of_two(size: float) -> float:
    """The power of two at or just below a size: to divide by it is exact. 1 for 0; never subnormal, nor its inverse."""
    if size == 0:
        return 1.0
    _, exponent = frexp(size)
    return ldexp(1.0, min(max(exponent - 1, -1020), 1020))


def row_norms(Z: Floats) -> Floats:
    """Euclidean length of each row, shape (n,); right also where the squares overflow or vanish."""
    top = np.abs(Z).max(axis=1)
    with np.errstate(over="ignore", under="ignore"):
        norms: Floats = np.sqrt(np.einsum("ij,ij->i", Z, Z))
    extreme = (top > SQUARE_ROOT_OF_LARGEST) | ((top < 1 / SQUARE_ROOT_OF_LARGEST) & (top > 0))
    extreme &= np.isfinite(top)
    if extreme.any():
        scaled = Z[extreme] / top[extreme, None]
        with np.errstate(over="ignore"):
            norms[extreme] = top[extreme] * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return norms
