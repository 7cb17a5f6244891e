"""Squared Mahalanobis distances of many rows to all components, component by component along the rows."""

__all__ = ["FactorSquares", "ScaleSquares", "Squares"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import isfinite

import numpy as np

from core.linalg import SMALL_PRODUCT
from core.types import Floats, Ints

# Whitened values in work at a time, at most 1 MiB of doubles, and fewer where OpenBLAS then needs no copy of them.
PIECE_VALUES = 2**17
# What (μ − c) P may be for one product with the rows to whiten them for all components: its rounding is then below
# 1e-13 of a standard deviation.
DISTANCE_MAX = 2.0**8


class Squares(ABC):
    """(x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ) as a function of rows (n, d), shape (k, n); infinite where it overflows."""

    means: Floats

    def __call__(self, X: Floats) -> Floats:
        k, d = self.means.shape
        squares = np.empty((k, len(X)))
        size = SMALL_PRODUCT // (k * d * (d + 1))
        if size < 256:
            size = max(1, PIECE_VALUES // (k * d))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for start in range(0, len(X), size):
                self._piece(X[start : start + size], squares[:, start : start + size])
            # inf − inf inside a product: the distance overflowed all the same.
            if not isfinite(squares.sum()):
                squares[np.isnan(squares)] = np.inf
        return squares

    @abstractmethod
    def _piece(self, X: Floats, out: Floats) -> None:
        """The squares of few rows, into `out` (k, n)."""


@dataclass(frozen=True)
class FactorSquares(Squares):
    """By factors P (k, d, d): z = (x − μ) P.

    Components near the reference c share one product, z = (x − c) P − (μ − c) P, whose rounding is about
    |(μ − c) P| units in the last place of a standard deviation; for others the mean goes first.
    """

    means: Floats
    factors: Floats
    reference: Floats
    near: Ints
    distant: Ints
    augmented: Floats  # (near · d, d + 1): Pᵀ beside −(μ − c) P

    @classmethod
    def of(cls, means: Floats, factors: Floats) -> "FactorSquares":
        """For means (k, d)."""
        k, d = means.shape
        reference = means[0] if k == 1 else np.median(means, axis=0)
        shifts = means - reference
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            loss = (np.abs(shifts)[:, None, :] @ np.abs(factors)).max(axis=(1, 2))
            share = loss <= DISTANCE_MAX
            augmented = np.empty((int(share.sum()), d, d + 1))
            augmented[:, :, :d] = factors[share].swapaxes(1, 2)
            augmented[:, :, d] = -(shifts[share, None, :] @ factors[share])[:, 0]
        places = np.arange(k)
        return cls(means, factors, reference, places[share], places[~share], augmented.reshape(-1, d + 1))

    def _piece(self, X: Floats, out: Floats) -> None:
        n, d = X.shape
        if len(self.near):
            residuals = np.empty((d + 1, n))
            np.subtract(X.T, self.reference[:, None], out=residuals[:d])
            residuals[d] = 1.0
            z = self.augmented @ residuals
            z *= z
            squares = z.reshape(-1, d, n)
            if len(self.distant):
                out[self.near] = squares.sum(axis=1)
            else:
                np.add.reduce(squares, axis=1, out=out)
        for k in self.distant:
            z = self.factors[k].T @ (X - self.means[k]).T
            np.einsum("ij,ij->j", z, z, out=out[k])


@dataclass(frozen=True)
class ScaleSquares(Squares):
    """By scales p (k, d) or (k, 1): z = (x − μ) p."""

    means: Floats
    scales: Floats

    def _piece(self, X: Floats, out: Floats) -> None:
        z = np.ascontiguousarray(X.T) - self.means[:, :, None]
        z *= self.scales[:, :, None]
        np.einsum("kij,kij->kj", z, z, out=out)
