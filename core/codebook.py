"""Centres as rows are compared with that come once: products in float64 of the rows as they are."""

__all__ = ["SERIAL_PRODUCT", "Codebook", "assign"]

from dataclasses import dataclass
from math import sqrt

import numpy as np

from core.assignment import block_slices, by_differences, less, told
from core.linalg import EPS, TINY
from core.sparse_rows import Rows, dense
from core.types import Floats, Ints

# OpenBLAS gives a product of at most so many operations to a single thread anyway.
SERIAL_PRODUCT = 2**18

# Up to so many rows, `argmin` is faster than what finds the labels of many.
FEW_ROWS = 2**8

# Centres so many times farther from the origin than from each other are taken about one of them.
OFFSET = 16

# Squares below this are far from overflow, and so is a sum of a few.
LARGE = 1e300


@dataclass(frozen=True)
class Codebook:
    """Centres (k, d), and what products with rows need of them: for z = x − offset, ‖c‖²/2 − c·z = (‖z − c‖² − ‖z‖²)/2.

    `offset` (d,) is None where centres are as near to the origin as to each other; `table` (k, d) holds the c,
    `constants` (k, 1) their ‖c‖²/2; `reach` is the largest ‖c‖.
    """

    centers: Floats
    offset: Floats | None
    table: Floats
    constants: Floats
    reach: float

    @classmethod
    def of(cls, centers: Floats) -> "Codebook":
        """The codebook of centres (k, d)."""
        centers = centers.astype(np.float64, copy=False)
        offset, about = None, centers
        # `einsum` is silent where a square is no float.
        squares = np.einsum("ij,ij->i", centers, centers)
        sizes = squares.tolist()
        square = max(sizes)
        # Centres much nearer to each other than to the origin are all about as far from it.
        if LARGE > 1.3 * min(sizes) > square:
            between = centers - centers[0]
            among = np.einsum("ij,ij->i", between, between)
            if square > OFFSET * OFFSET * float(among.max()):
                offset, about, squares, square = centers[0], between, among, float(among.max())
        # BLAS is faster with this order.
        return cls(centers, offset, np.asfortranarray(about), squares[:, None] / 2, square**0.5)

    def labels(self, X: Rows) -> Ints:
        """Labels (n,) of the nearest centres to rows (n, d), the first of equals."""
        n_samples, d = X.shape
        if n_samples * self.centers.size <= SERIAL_PRODUCT:
            return self._labels(dense(X).astype(np.float64, copy=False))
        k = self.centers.shape[0]
        labels = np.empty(n_samples, dtype=np.int64)
        for part in block_slices(n_samples, d, k):
            labels[part] = self._labels(dense(X[part]).astype(np.float64, copy=False))
        return labels

    def assign(self, X: Rows) -> tuple[Ints, Floats]:
        """Labels (n,), and squared distances (n,) to those centres.

        The squares are those of differences. One that is no float is infinite or 0, its label right all the same.
        """
        labels = self.labels(X)
        squares = np.empty(labels.shape)
        with np.errstate(over="ignore"):
            for part in block_slices(X.shape[0], X.shape[1], 1):
                differences = dense(X[part]) - self.centers.take(labels[part], axis=0)
                np.einsum("ij,ij->i", differences, differences, out=squares[part], dtype=np.float64)
        return labels, squares

    def _labels(self, rows: Floats) -> Ints:
        """Labels of some rows: by products where their error cannot matter, by differences where it can.

        Rounding z, c, ‖c‖² and a sum of d + 1 products in any order costs at most (d + 6) u (2 ‖z‖ ‖c‖ + ‖c‖²) with
        u = 2⁻⁵³ (Higham 2002, eq. 3.5), differences (d + 4) u ‖z − c‖²; both are below (d + 6) u (‖z‖ + ‖c‖)², of which
        a comparison asks for twice each. No ‖z‖ is above the root of their sum of squares.
        """
        n_samples, d = rows.shape
        k = self.centers.shape[0]
        if k == 1:
            return np.zeros(n_samples, dtype=np.int64)
        Z = rows if self.offset is None else less(rows, self.offset)
        extent = sqrt(np.vdot(Z, Z)) + self.reach
        square = extent * extent
        if not square < LARGE:
            return by_differences(rows, self.centers)[0]
        products = self.table.dot(Z.T)
        np.subtract(self.constants, products, out=products)
        limit = np.minimum.reduce(products)
        limit += 1.1 * (d + 6) * EPS * square + 4 * (d + 6) * TINY
        far = np.greater(products, limit)
        if n_samples <= FEW_ROWS and np.count_nonzero(far) == (k - 1) * n_samples:
            least: Ints = products.argmin(axis=0)
            return least
        found = np.empty(n_samples, dtype=np.min_scalar_type(k))
        undecided = told(far, found)
        labels: Ints = found.astype(np.int64)
        if undecided.size:
            labels[undecided] = by_differences(rows[undecided], self.centers)[0]
        return labels


def assign(X: Rows, centers: Floats) -> tuple[Ints, Floats]:
    """`Codebook.assign` of rows (n, d) to centres (k, d)."""
    return Codebook.of(centers).assign(X)
