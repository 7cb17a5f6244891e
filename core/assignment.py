"""Rows given to their nearest centres: by a matrix product where that decides, by differences where it does not."""

__all__ = [
    "Nearest",
    "Target",
    "block_slices",
    "blocks_of",
    "by_differences",
    "less",
    "nearest_one",
    "nearest_two",
    "rows_of_block",
    "told",
]

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from core.covariance import Spherical
from core.linalg import EPS, SMALL_PRODUCT
from core.scratch import Scratch
from core.tails import far_log_responsibilities
from core.types import Floats, Ints

# Below this, a square has lost digits to underflow; differences times 2⁶⁰⁰ are far from either end.
VANISHING = 1e-250

# Squares this many times that of the centres' extent: a difference of two of them has lost half its digits.
FAR = 1e16

# Products of so many rows at a time that (k + d) × rows numbers stay near the processor, doubles and single floats:
# fewer cost threads more turns.
BLOCK_VALUES = 2**19
BLOCK_ROWS_MIN, BLOCK_ROWS_MAX = 256, 2**15

# Rows of a block that is multiplied without copies.
SMALL_ROWS_MIN, SMALL_ROWS_MAX = 256, 4096

# In float32, the index of up to this many centres leaves a product enough digits; beyond it, in float64.
INDEX_MAX = 2**10

# Values of rows side by side that make a loop worth its start.
SIDE_BY_SIDE = 2**7

DIGITS = {np.float32: 23, np.float64: 52}  # binary ones behind the point
SINGLE = 2.0**-24  # relative rounding error of float32
UNDERFLOW = 2.0**-120  # more than what a sum of products loses to float32's underflow


def block_slices(n_samples: int, n_features: int, n_clusters: int) -> list[slice]:
    """Slices that cover rows in blocks whose products stay in the cache."""
    size = min(max(BLOCK_VALUES // (n_features + n_clusters + 2), BLOCK_ROWS_MIN), BLOCK_ROWS_MAX)
    return [slice(start, min(start + size, n_samples)) for start in range(0, n_samples, size)]


def rows_of_block(n_samples: int, n_features: int, n_clusters: int) -> int:
    """How many rows of so many should be a block of `blocks_of`: a multiple of 16, for the processor's vectors."""
    size = min(max(SMALL_PRODUCT // ((n_features + 1) * n_clusters), SMALL_ROWS_MIN), SMALL_ROWS_MAX) // 16 * 16
    return min(size, -(-n_samples // 16) * 16)


def blocks_of(Z: Floats, size: int) -> NDArray[np.float32]:
    """Blocks of `size` rows, (blocks, d + 2, size), each row a column [z, 1, ‖z‖²] in float32; zeros fill the last.

    So a product with centres has rows as its columns, and whatever follows goes along them.
    """
    n_samples, d = Z.shape
    whole, rest = divmod(n_samples, size)
    blocks = np.zeros((whole + (rest > 0), d + 2, size), dtype=np.float32)
    blocks[:whole, :d] = Z[: whole * size].reshape(whole, size, d).swapaxes(1, 2)
    if rest:
        blocks[whole, :d, :rest] = Z[whole * size :].T
    blocks[:, d] = 1
    np.einsum("bim,bim->bm", blocks[:, :d], blocks[:, :d], out=blocks[:, d + 1])
    return blocks


@dataclass(frozen=True)
class Target:
    """Centres as the other side of the product: [z, 1] · [−2c, ‖c‖²] = ‖z − c‖² − ‖z‖².

    `table` (k, d + 1); `doubt`, an upper bound of twice the error of a product against the square that `by_differences`
    finds: a constant, and how much more of it there is for each unit of ‖z‖²; `relative`, the relative error of a
    product that carries an index; `reach`, the largest ‖c‖.
    """

    centers: Floats
    table: Floats
    doubt: tuple[float, float]
    relative: float
    reach: float

    @classmethod
    def of(cls, centers: Floats) -> "Target":
        """The target for centres (k, d), best near the origin: errors grow with their norms.

        With u = 2⁻²⁴, the rounding of z, c and ‖c‖² and of a sum of d + 1 products in any order is at most
        (d + 6) u (2 ‖z‖ ‖c‖ + ‖c‖²) (Higham 2002, eq. 3.5), where 2 ‖z‖ ‖c‖ ≤ ‖z‖² + ‖c‖²; the differences' own is
        (d + 4) ε ‖z − c‖² ≤ 2 (d + 4) ε (‖z‖² + ‖c‖²).
        """
        k, d = centers.shape
        kind = np.float32 if k <= INDEX_MAX else np.float64
        squares = np.einsum("ij,ij->i", centers, centers)
        square = float(squares.max())
        table = np.empty((k, d + 1), dtype=kind)
        # What a given start has far out may be no number in float32: rows then are left open.
        with nullcontext() if square < 1e30 else np.errstate(over="ignore"):
            table[:, :d] = centers
            table[:, d] = squares
            table[:, :d] *= -2
        slope = 2.6 * ((d + 6) * SINGLE + 2 * (d + 4) * EPS)
        doubt = 2 * slope * square + UNDERFLOW * (d + 4) * (1 + square), slope
        index_bits = (k - 1).bit_length()
        return cls(centers, table, doubt, 1.02 * 2.0 ** (index_bits - DIGITS[kind]), square**0.5)

    @property
    def n_clusters(self) -> int:
        """k."""
        return int(self.centers.shape[0])

    @property
    def index_type(self) -> type[np.unsignedinteger]:
        """The least type that holds the index of a centre, and how many there are."""
        return np.uint8 if self.n_clusters < 2**8 else np.uint16 if self.n_clusters < 2**16 else np.uint32

    @cached_property
    def whole(self) -> Floats:
        """The table of the product with [z, 1, ‖z‖²] that is ‖z − c‖², (k, d + 2)."""
        return np.concatenate([self.table, np.ones((self.n_clusters, 1), self.table.dtype)], axis=1)

    def twice_error(self, squares: Floats, out: Floats, times: float = 1.0) -> Floats:
        """Upper bound of twice the error of each row's products, for rows of these ‖z‖²; `times` that; in `out`."""
        constant, slope = self.doubt
        np.multiply(squares, slope * times, out=out)
        out += constant * times
        return out


@dataclass(frozen=True)
class Nearest:
    """Of each row (n,): the label, the least product, and how far the second one is surely above it.

    A label is certain where `surely` is positive. `squares` are ‖z‖², `error` is more than twice that of a product.
    """

    labels: NDArray[np.int32]
    least: Floats
    surely: Floats
    squares: Floats
    error: Floats


def nearest_one(
    target: Target,
    blocks: NDArray[np.float32],
    scratch: Scratch,
    labels: NDArray[np.unsignedinteger],
    blur: float = 0.0,
) -> Ints:
    """Writes the `labels` (b, m) of the rows of blocks (b, d + 2, m), and tells which the products leave open.

    These are indices into the rows (b m,): of each another centre's product is within their error of the least; with
    `blur`, also where two centres' distances from the row would tell apart by less than twice that.
    """
    k, width = target.table.shape
    count, _, size = blocks.shape
    if k == 1:
        labels.fill(0)
        return np.empty(0, dtype=np.int64)
    products = scratch.array("products", (count, k, size), np.float32)
    least, limit = scratch.array("least", (count, size), np.float32), scratch.array("limit", (count, size), np.float32)
    far = scratch.array("far", (count, k, size), np.bool_)
    norms = blocks[:, -1]
    np.matmul(target.table.astype(np.float32, copy=False), blocks[:, :width], out=products)
    target.twice_error(norms, limit)
    if blur:
        limit += np.float32(4 * blur) * (np.sqrt(norms) + np.float32(target.reach))
    limit += np.minimum.reduce(products, axis=1, out=least)
    return told(np.greater(products, limit[:, None], out=far), labels)


def told(far: NDArray[np.bool_], labels: NDArray[np.unsignedinteger]) -> Ints:
    """Writes the `labels` (…, m) of rows from which all centres but one are `far` (…, k, m); overwrites that.

    Returns the indices of the other rows, (…, m) being one dimension. What is no number is far from nothing. The type
    of the labels holds k.
    """
    k, kind = far.shape[-2], labels.dtype
    ones: NDArray[np.unsignedinteger] = far.view(np.uint8)
    if kind != np.uint8:
        ones = ones.astype(kind)
    undecided = np.empty(0, dtype=np.int64)
    # Each row has a centre that is not far: where this is the number, no row has two.
    if np.count_nonzero(far) != (k - 1) * labels.size:
        undecided = np.flatnonzero(np.add.reduce(ones, axis=-2, dtype=kind) != k - 1)
    # The label is what the indices of the far ones lack of the sum of all, in whole numbers that turn over.
    ones *= np.arange(k, dtype=kind)[:, None]
    np.add.reduce(ones, axis=-2, dtype=kind, out=labels)
    np.subtract(kind.type(k * (k - 1) // 2 % 2 ** (8 * kind.itemsize)), labels, out=labels)
    return undecided


def nearest_two(target: Target, blocks: NDArray[np.float32], scratch: Scratch) -> Nearest:
    """The nearest centre of the rows of blocks (b, d + 2, m), shape (b m,), and how sure that is.

    Each product carries its centre's index in its lowest bits, so that a minimum brings the label with it.
    """
    k, width = target.table.shape
    count, _, size = blocks.shape
    kind = target.table.dtype
    products = scratch.array("products", (count, k, size), kind)
    np.matmul(target.table, blocks[:, :width].astype(kind, copy=False), out=products)
    squares = blocks[:, -1].ravel()
    error = target.twice_error(squares, np.empty_like(squares))
    if k == 1:
        alone = np.zeros(squares.shape, dtype=np.int32)
        return Nearest(alone, products.ravel(), np.full(squares.shape, np.inf), squares, error)
    labels, least, second = ranked(products)
    labels, least, second = labels.ravel(), least.ravel(), second.ravel()
    surely = second - least
    np.abs(second, out=second)
    second += np.abs(least)
    second *= kind.type(target.relative)
    error = error + second
    surely -= error
    return Nearest(labels, least, surely, squares, error)


def ranked(products: Floats) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Of each column (…, k ≥ 2, n): the label of the least, the least and the second; `products` are overwritten.

    An index in the place of the lowest bits changes a number by less than 2^(bits − digits) of itself.
    """
    k = products.shape[-2]
    mask = 2 ** (k - 1).bit_length() - 1
    bits: NDArray[np.signedinteger] = products.view(np.int32 if products.dtype == np.float32 else np.int64)
    np.bitwise_and(bits, ~mask, out=bits)
    np.bitwise_or(bits, np.arange(k, dtype=bits.dtype)[:, None], out=bits)
    least, second = two_least(products)
    return (least.view(bits.dtype) & mask).astype(np.int32, copy=False), least, second


def two_least(values: Floats) -> tuple[Floats, Floats]:
    """The least and the second least of each column, by a tournament of rows; `values` (…, k ≥ 2, n) is overwritten."""
    low, high = values, values[..., :0, :]
    while (entrants := low.shape[-2]) > 1:
        half, odd = divmod(entrants, 2)
        left, right, last = low[..., :half, :], low[..., half : 2 * half, :], low[..., 2 * half :, :]
        lost = np.maximum(left, right)
        won = np.minimum(left, right, out=left)
        if high.shape[-2]:
            # As many seconds as there were contenders, but for the last of an odd number, which has none at first.
            np.minimum(lost, high[..., :half, :], out=lost)
            np.minimum(lost, high[..., half : 2 * half, :], out=lost)
        if odd:
            first_won, first_lost, last = won[..., 0, :], lost[..., 0, :], last[..., 0, :]
            np.minimum(first_lost, np.maximum(first_won, last), out=first_lost)
            np.minimum(first_won, last, out=first_won)
            if high.shape[-2]:
                np.minimum(first_lost, high[..., 2 * half, :], out=first_lost)
        low, high = won, lost
    return low[..., 0, :].copy(), high[..., 0, :]


def by_differences(X: Floats, centers: Floats) -> tuple[Ints, Floats]:
    """Labels (n,) of the nearest centres, the first of equals, and squared distances (n,) to them.

    Squares of differences, not ‖x‖² − 2x·c + ‖c‖²: that form loses the digits that decide between near centres.
    Rows so far away that their squares overflow, or hold no digits of what tells the centres apart, are compared
    as by unit Gaussians (`far_log_responsibilities`); where squares would vanish, in units of 2⁻⁶⁰⁰. What a row is
    given does not depend on the other rows.
    """
    squares = cdist(X, centers, "sqeuclidean")
    labels: Ints = squares.argmin(axis=1)
    nearest: Floats = squares.min(axis=1)
    farthest = squares.max(axis=1)
    # Most are at neither end: a row much nearer to one centre than to another is not far beside the centres' extent.
    if (nearest > VANISHING).all() and (farthest < np.inf).all() and (nearest < 0.999 * farthest).all():
        return labels, nearest
    vanishing = nearest < VANISHING
    if vanishing.any():
        with np.errstate(over="ignore"):
            labels[vanishing] = cdist(X[vanishing] * 2.0**600, centers * 2.0**600, "sqeuclidean").argmin(axis=1)
    with np.errstate(over="ignore"):
        extent = float(np.square(centers - centers[0]).sum(axis=1).max())
    far = ~np.isfinite(nearest)
    if 0 < extent < np.inf:
        far |= nearest > FAR * extent
    if far.any():
        k, d = centers.shape
        units = Spherical(np.ones(k), np.ones(k), k, d)
        labels[far] = far_log_responsibilities(X[far], centers, units, np.zeros(k)).argmax(axis=1)
    return labels.astype(np.int64, copy=False), nearest


def less(X: Floats, offset: Floats) -> Floats:
    """X − offset, in float64. Short rows are taken side by side: one loop over many of them is faster than many."""
    n_samples, width = X.shape
    beside = SIDE_BY_SIDE // width
    if beside < 2 or n_samples < 2 * beside or not X.flags.c_contiguous:
        return np.subtract(X, offset, dtype=np.float64)
    whole = n_samples // beside * beside
    result = np.empty(X.shape)
    wide = (-1, beside * width)
    np.subtract(X[:whole].reshape(wide), np.tile(offset, beside), out=result[:whole].reshape(wide))
    np.subtract(X[whole:], offset, out=result[whole:])
    return result
