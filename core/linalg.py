"""The four operations on triangles and norms that everything else is made of."""

__all__ = [
    "SingularMatrix",
    "from_precision_cholesky",
    "precision_cholesky",
    "precision_cholesky_of_precision",
    "row_norms",
]

import numpy as np
from scipy.linalg import lapack

from core.types import Floats

# Above this, a square may overflow; below its inverse, it may vanish.
SQUARE_ROOT_OF_LARGEST = 1e150


class SingularMatrix(ArithmeticError):
    """A matrix is not positive definite in floating point; `feature` is the first failing pivot."""

    def __init__(self, feature: int) -> None:
        super().__init__(feature)
        self.feature = feature


def precision_cholesky(covariance: Floats) -> Floats:
    """The upper triangle P with Σ⁻¹ = P Pᵀ, so that z = (x − μ) P is white; Σ has shape (d, d).

    From Σ = L Lᵀ one has P = L⁻ᵀ. Raises `SingularMatrix` with the feature whose variance, given the features
    before it, is not positive beyond the round-off of its own variance: such a pivot is noise, and a density
    computed from it would be, too.
    """
    n_features = covariance.shape[0]
    lower, info = lapack.dpotrf(covariance, lower=1)
    if info > 0:
        raise SingularMatrix(info - 1)
    pivots = np.diagonal(lower) ** 2
    noise = n_features * np.finfo(np.float64).eps * np.diagonal(covariance)
    if (pivots <= noise).any():
        raise SingularMatrix(int(np.argmax(pivots <= noise)))
    return np.ascontiguousarray(_inverse_of_triangle(lower).T)


def precision_cholesky_of_precision(precision: Floats) -> Floats:
    """The upper triangle P with Λ = P Pᵀ, from the precision matrix Λ (d, d).

    With J the exchange of first and last, J Λ J = L Lᵀ gives P = J L J.
    """
    lower, info = lapack.dpotrf(np.ascontiguousarray(precision[::-1, ::-1]), lower=1)
    if info > 0:
        raise SingularMatrix(precision.shape[0] - info)
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
