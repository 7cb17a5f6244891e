"""The four operations on triangles and norms that everything else is made of."""

__all__ = [
    "EPS",
    "SMALL_PRODUCT",
    "TINY",
    "SingularMatrix",
    "from_precision_cholesky",
    "power_of_two",
    "precision_cholesky",
    "precision_cholesky_of_precision",
    "row_norms",
]

from math import frexp, ldexp

import numpy as np
from scipy.linalg import lapack

from core.types import Floats

# Above this, a square may overflow; below its inverse, it may vanish.
SQUARE_ROOT_OF_LARGEST = 1e150

EPS = float(np.finfo(np.float64).eps)

# The least float with all its digits: no count and no variance below it is one to compute with.
TINY = float(np.finfo(np.float64).tiny)

# OpenBLAS has kernels for products of at most so many operations that do not first copy their operands: half the time
# where matrices are thin.
SMALL_PRODUCT = 10**6


class SingularMatrix(ArithmeticError):
    """A matrix, of a `component`, is not positive definite: the `pivot` of a `feature` is not above its `bound`."""

    def __init__(self, component: int, feature: int, pivot: float, bound: float) -> None:
        super().__init__(component, feature, pivot, bound)
        self.component = component
        self.feature = feature
        self.pivot = pivot
        self.bound = bound


def precision_cholesky(covariances: Floats, noise: Floats) -> Floats:
    """The upper triangles P with Σ⁻¹ = P Pᵀ, so that z = (x − μ) P is white; Σ and P have shape (k, d, d).

    From Σ = L Lᵀ one has P = L⁻ᵀ. Raises `SingularMatrix` with the first component, and in it the first feature whose
    variance, given the features before it, is not above the round-off of its own variance, its `noise` (k or 1, d or
    1), and the least normal float: such a pivot is noise, and a density computed from it would be, too.
    """
    lowers, stops = np.empty_like(covariances), np.zeros(len(covariances), dtype=np.int64)
    for component, covariance in enumerate(covariances):
        lowers[component], stops[component] = lapack.dpotrf(covariance, lower=1)
    # LAPACK leaves the pivot at which it stopped as it is, before the root.
    pivots = np.square(np.diagonal(lowers, axis1=1, axis2=2))
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    bounds = np.maximum(np.maximum(covariances.shape[1] * EPS * variances, noise), TINY)
    low = pivots <= bounds
    if np.count_nonzero(stops) or np.count_nonzero(low):
        component = int(np.argmax((stops > 0) | low.any(axis=1)))
        feature = int(stops[component]) - 1 if stops[component] else int(np.argmax(low[component]))
        pivot = min(lowers[component, feature, feature], 0.0) if stops[component] else pivots[component, feature]
        raise SingularMatrix(component, feature, float(pivot), float(bounds[component, feature]))
    factors = np.empty_like(covariances)
    for lower, factor in zip(lowers, factors, strict=True):
        factor[...] = lapack.dtrtri(lower, lower=1)[0].T
    return factors


def precision_cholesky_of_precision(precisions: Floats) -> Floats:
    """The upper triangles P with Λ = P Pᵀ, from precision matrices Λ (k, d, d); raises `SingularMatrix`.

    With J the exchange of first and last, J Λ J = L Lᵀ gives P = J L J.
    """
    factors = np.empty_like(precisions)
    for component, precision in enumerate(precisions):
        lower, info = lapack.dpotrf(np.ascontiguousarray(precision[::-1, ::-1]), lower=1)
        if info > 0:
            pivot = min(float(lower[info - 1, info - 1]), 0.0)
            raise SingularMatrix(component, len(precision) - info, pivot, 0.0)
        factors[component] = lower[::-1, ::-1]
    return factors


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
