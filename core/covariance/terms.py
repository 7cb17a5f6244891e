"""A log-density as a linear function of few terms of z: what two matrix products make of an E-step and its statistics.

In a frame z = (x − c) W the log-density aₖ − ½‖(x − μₖ)Pₖ‖² is hₖ · t(z), with t(z) = (1, z, products of z), and the
moments Σₙ rₙₖ t(zₙ) are all that the M-step needs (an exponential family in its natural parameters, Bishop 2006,
§2.4). Each structure has its own products. What this loses to cancellation is told beside each result as a factor
of the round-off unit: nothing here is to be believed where that factor is large (`docs/numerics.md`).
"""

__all__ = ["Coefficients", "DiagTerms", "FullTerms", "Moments", "SphericalTerms", "Terms", "TiedTerms"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.covariance.base import Covariance, divisors
from core.covariance.frame import Frame, deviations, triangles
from core.linalg import TINY
from core.types import Floats

# What is lost to cancellation need not be known well when it is less than this, and nowhere too much.
LITTLE = 2.0**9


@dataclass(frozen=True)
class Coefficients:
    """H (k, p), the log-densities' coefficients, and for each component what they lose, in units of round-off.

    `lost` (k,) is Σ |hₖ|·t, the size of what is added up for a typical row of the component: the error of its
    log-density; or, where that is little, a bound of it. `scatter_lost` (k,) is what a scatter like its own covariance
    would lose (`Moments`). `common` is a term of the log-likelihood that no component has for itself.
    """

    H: Floats
    lost: Floats
    scatter_lost: Floats
    common: float = 0.0


@dataclass(frozen=True)
class Moments:
    """Means (k, d) and scatter in the structure's shape, of the rows as they came; and what the scatter `lost` (k,).

    The scatter S of a component is Σ r z zᵀ − N ν νᵀ. Its error, seen in its own metric, is at most the round-off of
    the sums times Σᵢ (S⁻¹)ᵢᵢ Mᵢ, with M the diagonal of Σ r z zᵀ: `lost`, which is d where nothing cancels.
    """

    means: Floats
    scatter: Floats
    lost: Floats


class Terms(ABC):
    """The terms t(z) of a structure in a frame: 1, then z, then its products."""

    # Whether the quadratic part is the same for all components: it then cancels in the responsibilities.
    shared: ClassVar[bool] = False

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.n_features = frame.centre.shape[0]

    @staticmethod
    @abstractmethod
    def count(n_features: int) -> int:
        """p."""

    @staticmethod
    @abstractmethod
    def whitening(covariance: Floats) -> tuple[Floats, Floats]:
        """W and V, of the kind that keeps the structure, for rows with this covariance (d, d)."""

    @staticmethod
    def wrapped(n_features: int) -> int:
        """Rows that z takes where `fill` wants it beside T, with its first ones again behind the last; else 0."""
        return 0

    @abstractmethod
    def fill(self, T: Floats, ring: Floats) -> None:
        """The products, for T (…, p, m) whose first 1 + d rows of terms are there, and `ring` as `wrap` has it."""

    def wrap(self, T: Floats, ring: Floats) -> None:
        """Puts z of T (…, p, m) into `ring` (…, `wrapped`, m)."""
        ring[...] = T[..., 1 : 1 + ring.shape[-2], :]

    @abstractmethod
    def coefficients(self, offsets: Floats, means: Floats, covariance: Covariance, second: Floats) -> Coefficients:
        """H for log-densities with these offsets (k,) and means (k, d); `second` as in `moments`."""

    @abstractmethod
    def moments(self, sums: Floats, second: Floats, floor: float) -> Moments:
        """Moments from sums (k, p) of the terms; `floor` is what will be added to the covariances' diagonal.

        `second` (d, d) is Σ w z zᵀ of all rows, for structures that share their quadratic part.
        """

    def _inside(self, means: Floats) -> Floats:
        return (means - self.frame.centre) @ self.frame.whitener

    def _outside(self, means: Floats) -> Floats:
        return self.frame.centre + means @ self.frame.colour

    def _coefficients(
        self, offsets: Floats, linear: Floats, quadratic: Floats, precise: Floats, squares: Floats
    ) -> Coefficients:
        """From the parts of H, the precisions' diagonals (k, d), and second moments (k, d) of each one's own rows."""
        H = np.concatenate([offsets[:, None], linear, quadratic], axis=1)
        scatter_lost = (precise * squares).sum(axis=1)
        # By |aᵢⱼ| ≤ √(aᵢᵢ aⱼⱼ), twice.
        lost = 1.5 * self.n_features * scatter_lost
        if not lost.max() <= LITTLE:
            typical = np.empty((H.shape[1], H.shape[0]))
            np.sqrt(squares.T, out=typical[1 : 1 + self.n_features])
            ring = np.empty((self.wrapped(self.n_features), H.shape[0]))
            self.wrap(typical, ring)
            self.fill(typical, ring)
            # The constant is no larger than the sum of the others, but for an offset, which has no digits to lose.
            lost = np.einsum("kp,pk->k", np.abs(H[:, 1:]), typical[1:])
        return Coefficients(H, lost, scatter_lost)


class FullTerms(Terms):
    """All products zᵢ zⱼ, i ≤ j: p = 1 + d + d (d + 1) / 2.

    They are ordered by j − i, as those of z with itself moved on by 0, 1, … features in a circle, half way around:
    one multiplication makes them all.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        d = self.n_features
        places = np.arange(d * (d + 1) // 2)
        self._rows, self._columns = places % d, (places % d + places // d) % d
        self._scale = np.where(self._rows == self._columns, -0.5, -1.0)
        # Where zᵢ zⱼ is among the terms, shape (d, d).
        self._places = np.empty((d, d), dtype=np.intp)
        self._places[self._rows, self._columns] = self._places[self._columns, self._rows] = 1 + d + places
        # The unit matrix, in the frame.
        self._unit = frame.whitener.T @ frame.whitener

    @staticmethod
    def count(n_features: int) -> int:
        return 1 + n_features + n_features * (n_features + 1) // 2

    @staticmethod
    def whitening(covariance: Floats) -> tuple[Floats, Floats]:
        return triangles(covariance)

    @staticmethod
    def wrapped(n_features: int) -> int:
        return n_features + (n_features - 1) // 2

    def wrap(self, T: Floats, ring: Floats) -> None:
        d = self.n_features
        Z = T[..., 1 : 1 + d, :]
        ring[..., :d, :], ring[..., d:, :] = Z, Z[..., : (d - 1) // 2, :]

    def fill(self, T: Floats, ring: Floats) -> None:
        d, m = self.n_features, T.shape[-1]
        moves, half = (d + 1) // 2, d // 2
        Z, products = ring[..., :d, :], T[..., 1 + d :, :]
        *outer, along, step = ring.strides
        # Rows i, i + 1, … i + d − 1 for each i: all moves of z, without a copy.
        moved: Floats = np.ndarray(
            (*ring.shape[:-2], moves, d, m), ring.dtype, ring, strides=(*outer, along, along, step)
        )
        np.multiply(Z[..., None, :, :], moved, out=products[..., : moves * d, :].reshape(moved.shape))
        if d % 2 == 0:
            # Half way around each product would come twice.
            np.multiply(Z[..., :half, :], Z[..., half:, :], out=products[..., moves * d :, :])

    def coefficients(self, offsets: Floats, means: Floats, covariance: Covariance, second: Floats) -> Coefficients:
        nu = self._inside(means)
        Q = self.frame.colour @ covariance.precisions_cholesky
        white = (nu[:, None, :] @ Q)[:, 0]
        A = Q @ Q.swapaxes(1, 2)
        W = self.frame.whitener
        squares = nu * nu + ((covariance.covariances @ W) * W).sum(axis=1)
        return self._coefficients(
            offsets - 0.5 * (white * white).sum(axis=1),
            (Q @ white[:, :, None])[:, :, 0],
            A[:, self._rows, self._columns] * self._scale,
            np.diagonal(A, axis1=1, axis2=2),
            squares,
        )

    def moments(self, sums: Floats, second: Floats, floor: float) -> Moments:
        d, counts = self.n_features, sums[:, 0]
        shares = sums / divisors(counts)[:, None]
        nu = shares[:, 1 : 1 + d]
        squares = shares[:, self._places]
        S = squares - nu[:, :, None] * nu[:, None, :]
        V = self.frame.colour
        precise = _inverse_diagonals(S + floor * self._unit if floor > 0 else S)
        lost = (np.abs(precise) * np.diagonal(squares, axis1=1, axis2=2)).sum(axis=1)
        scatter = V.T @ (counts[:, None, None] * S) @ V
        scatter = 0.5 * (scatter + scatter.swapaxes(1, 2))
        return Moments(self._outside(nu), scatter, np.where(counts > TINY, lost, 0.0))


class TiedTerms(Terms):
    """None: the products are the same for all components, and drop out of the responsibilities. p = 1 + d."""

    shared = True

    @staticmethod
    def count(n_features: int) -> int:
        return 1 + n_features

    @staticmethod
    def whitening(covariance: Floats) -> tuple[Floats, Floats]:
        return triangles(covariance)

    def fill(self, T: Floats, ring: Floats) -> None:
        pass

    def coefficients(self, offsets: Floats, means: Floats, covariance: Covariance, second: Floats) -> Coefficients:
        nu = self._inside(means)
        Q = self.frame.colour @ covariance.precisions_cholesky
        white = nu @ Q
        W = self.frame.whitener
        squares = nu * nu + ((covariance.covariances @ W) * W).sum(axis=0)
        A = Q @ Q.T
        parts = self._coefficients(
            offsets - 0.5 * (white * white).sum(axis=1),
            white @ Q.T,
            np.empty((means.shape[0], 0)),
            np.diagonal(A),
            squares,
        )
        # The part in common is a sum over all rows, and loses like the quadratic part of a full matrix.
        root = np.sqrt(squares)
        lost = parts.lost + 0.5 * np.einsum("ki,ij,kj->k", root, np.abs(A), root)
        return Coefficients(parts.H, lost, parts.scatter_lost, -0.5 * float(((second @ Q) * Q).sum()))

    def moments(self, sums: Floats, second: Floats, floor: float) -> Moments:
        counts = sums[:, 0]
        nu = sums[:, 1:] / divisors(counts)[:, None]
        total = float(counts.sum())
        S = (second - (counts[:, None] * nu).T @ nu) / total
        W, V = self.frame.whitener, self.frame.colour
        precise = _inverse_diagonals((S + floor * (W.T @ W))[None])[0]
        lost = float((np.abs(precise) * np.diagonal(second)).sum()) / total
        scatter = V.T @ (total * S) @ V
        return Moments(self._outside(nu), 0.5 * (scatter + scatter.T), np.full(counts.shape, lost))


class DiagTerms(Terms):
    """The squares zᵢ²: p = 1 + 2 d. The frame's matrices are diagonal."""

    @staticmethod
    def count(n_features: int) -> int:
        return 1 + 2 * n_features

    @staticmethod
    def whitening(covariance: Floats) -> tuple[Floats, Floats]:
        units = deviations(covariance)
        return np.diag(1 / units), np.diag(units)

    def fill(self, T: Floats, ring: Floats) -> None:
        d = self.n_features
        np.square(T[..., 1 : 1 + d, :], out=T[..., 1 + d :, :])

    def coefficients(self, offsets: Floats, means: Floats, covariance: Covariance, second: Floats) -> Coefficients:
        nu = self._inside(means)
        q = covariance.precisions_cholesky * np.diagonal(self.frame.colour)
        white = nu * q
        squares = nu * nu + 1 / (q * q)
        return self._coefficients(offsets - 0.5 * (white * white).sum(axis=1), white * q, -0.5 * q * q, q * q, squares)

    def moments(self, sums: Floats, second: Floats, floor: float) -> Moments:
        d, counts = self.n_features, sums[:, 0]
        shares = sums / divisors(counts)[:, None]
        nu, squares = shares[:, 1 : 1 + d], shares[:, 1 + d :]
        S = squares - nu * nu
        unit = np.diagonal(self.frame.colour)
        lost = _ratios(squares, S + floor / (unit * unit)).sum(axis=1)
        scatter = counts[:, None] * S * unit * unit
        return Moments(self._outside(nu), scatter, np.where(counts > TINY, lost, 0.0))


class SphericalTerms(Terms):
    """The square ‖z‖²: p = 2 + d. The frame has one unit for all features."""

    @staticmethod
    def count(n_features: int) -> int:
        return 2 + n_features

    @staticmethod
    def whitening(covariance: Floats) -> tuple[Floats, Floats]:
        units = deviations(covariance)
        top = units.max()
        unit = float(top * np.sqrt(np.square(units / top).mean()))
        return np.eye(len(covariance)) / unit, np.eye(len(covariance)) * unit

    def fill(self, T: Floats, ring: Floats) -> None:
        d = self.n_features
        np.einsum("...ij,...ij->...j", T[..., 1 : 1 + d, :], T[..., 1 : 1 + d, :], out=T[..., 1 + d, :])

    def coefficients(self, offsets: Floats, means: Floats, covariance: Covariance, second: Floats) -> Coefficients:
        nu = self._inside(means)
        q = (covariance.precisions_cholesky * self.frame.colour[0, 0])[:, None]
        white = nu * q
        squares = nu * nu + 1 / (q * q)
        return self._coefficients(offsets - 0.5 * (white * white).sum(axis=1), white * q, -0.5 * q * q, q * q, squares)

    def moments(self, sums: Floats, second: Floats, floor: float) -> Moments:
        d, counts = self.n_features, sums[:, 0]
        shares = sums / divisors(counts)[:, None]
        nu, squares = shares[:, 1 : 1 + d], shares[:, 1 + d] / d
        S = squares - (nu * nu).mean(axis=1)
        unit = float(self.frame.colour[0, 0])
        lost = d * _ratios(squares, S + floor / (unit * unit))
        return Moments(self._outside(nu), counts * S * unit * unit, np.where(counts > TINY, lost, 0.0))


def _inverse_diagonals(matrices: NDArray[np.floating]) -> Floats:
    """Diagonals (k, d) of the inverses of matrices (k, d, d); infinite where there is none."""
    try:
        inverses = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full(matrices.shape[:2], np.inf)
        return np.concatenate([_inverse_diagonals(matrix[None]) for matrix in matrices])
    return np.diagonal(inverses, axis1=1, axis2=2)


def _ratios(squares: Floats, variances: Floats) -> Floats:
    """Second moments in units of what is left of them; infinite where nothing is."""
    return np.where(variances > 0, squares / np.where(variances > 0, variances, 1.0), np.inf)
