"""Silhouettes of rows: how much nearer each is to its own cluster than to the next one."""

__all__ = ["silhouette_samples", "silhouette_score"]

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from core.checks import check_integer, check_labels, check_rows
from core.errors import InvalidParameter
from core.fit import generator_from
from core.kmeans import frame
from core.linalg import EPS
from core.rows import one_blas_thread
from core.threads import thread_map
from core.types import Floats, Ints, MapLike

# A block of distances is computed at once: 1 MiB stays near the processor.
BLOCK_ROWS, BLOCK_COLUMNS = 256, 512

# The relative error of a distance by way of products; where it might be more, differences are taken.
TOLERANCE = 1e-12

# Up to this many clusters each pair is taken once, for both of its rows: the sums of all rows are then held at once.
CLUSTERS_HELD = 64

# Blocks of rows whose sums for other rows are held at once.
WAVE = 16

# Of a block with more such pairs than one in so many, all are taken by differences.
FEW = 16


def silhouette_samples(X: ArrayLike, labels: ArrayLike, *, chunk_map: MapLike = thread_map) -> Floats:
    """Silhouette of each row, shape (n,), in [−1, 1]: (b − a) / max(a, b) (Rousseeuw 1987).

    a is the mean distance to the other rows of the row's cluster, b the least mean distance to another cluster; a
    row alone in its cluster has 0. Distances are Euclidean, of all pairs, each within 1e-12 of itself; beside the
    rows, memory is that of a few copies of them, and of at most 64 sums a row. Time grows with n². There are no
    weights: the mean over the *other* rows of a cluster has no meaning for fractions of a row. `chunk_map` maps
    blocks of rows, by default over threads.
    Raises `InvalidParameter` unless there are from 2 to n − 1 labels.
    """
    rows = check_rows(X)
    n_samples = rows.shape[0]
    names, codes = np.unique(check_labels("labels", labels, n_samples), return_inverse=True)
    if not 2 <= names.size < n_samples:
        raise InvalidParameter("labels", labels, f"must name from 2 to {n_samples - 1} clusters, not {names.size}")
    offset, scale = frame(rows)
    # Rows of a cluster side by side: their distances are summed as they lie.
    order = np.argsort(codes, kind="stable")
    Z = (rows[order].astype(np.float64) - offset) / scale
    blocks = [slice(start, min(start + BLOCK_ROWS, n_samples)) for start in range(0, n_samples, BLOCK_ROWS)]
    clusters = _Sorted(Z, codes[order], np.bincount(codes))
    totals = _each_pair_once if names.size <= CLUSTERS_HELD else _each_pair_twice
    result = np.empty(n_samples)
    with one_blas_thread():
        parts = totals(clusters, blocks, chunk_map)
        result[order] = np.concatenate([_silhouettes(clusters, *part) for part in parts])
    return result


def silhouette_score(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    sample_size: int | None = None,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> float:
    """Mean silhouette of the rows (Rousseeuw 1987), or of `sample_size` of them drawn by `random_state`.

    The drawn rows stand alone: distances are those among them, as in scikit-learn.
    """
    if sample_size is None:
        return float(silhouette_samples(X, labels).mean())
    rows = check_rows(X)
    n_samples = rows.shape[0]
    if check_integer("sample_size", sample_size, 3) > n_samples:
        raise InvalidParameter("sample_size", sample_size, f"must be at most the number of rows, {n_samples}")
    chosen = np.sort(generator_from(random_state).choice(n_samples, sample_size, replace=False))
    return float(silhouette_samples(rows[chosen], check_labels("labels", labels, n_samples)[chosen]).mean())


@dataclass(frozen=True)
class _Sorted:
    """Rows (n, d) sorted by cluster, their clusters' numbers (n,), and how many rows each has (k,)."""

    Z: Floats
    codes: Ints
    sizes: Ints


def _silhouettes(clusters: _Sorted, block: slice, totals: Floats) -> Floats:
    """Silhouettes of a block of rows from the sums (m, k) of their distances to the rows of each cluster."""
    own, sizes = clusters.codes[block], clusters.sizes
    place = np.arange(own.size)
    within = totals[place, own] / np.maximum(sizes[own] - 1, 1)
    between = totals / sizes
    between[place, own] = np.inf
    nearest = between.min(axis=1)
    larger = np.maximum(within, nearest)
    counted = (sizes[own] > 1) & (larger > 0)
    silhouettes: Floats = np.where(counted, nearest - within, 0.0) / np.where(counted, larger, 1.0)
    return silhouettes


def _each_pair_once(clusters: _Sorted, blocks: list[slice], chunk_map: MapLike) -> Iterator[tuple[slice, Floats]]:
    """Sums of each block: what it finds with later rows counts for those, too. They add up in the blocks' order."""
    totals = np.zeros((clusters.codes.size, clusters.sizes.size))
    for first in range(0, len(blocks), WAVE):
        wave = blocks[first : first + WAVE]
        for block, (mine, others) in zip(wave, chunk_map(partial(_distance_sums, clusters, True), wave), strict=True):
            totals[block] += mine
            low, high = clusters.codes[block][[0, -1]]
            totals[block.stop :, low : high + 1] += others.T
    yield from ((block, totals[block]) for block in blocks)


def _each_pair_twice(clusters: _Sorted, blocks: list[slice], chunk_map: MapLike) -> Iterator[tuple[slice, Floats]]:
    """Sums of each block with all rows."""
    for first in range(0, len(blocks), WAVE):
        wave = blocks[first : first + WAVE]
        for block, (mine, _) in zip(wave, chunk_map(partial(_distance_sums, clusters, False), wave), strict=True):
            yield block, mine


def _distance_sums(clusters: _Sorted, once: bool, block: slice) -> tuple[Floats, Floats]:
    """Sums (m, k) of distances of a block's rows to the rows of each cluster, and of later rows to the block's.

    With `once` rows before the block are left out of the first, and the second is (clusters in the block, rows after
    it); else it is empty.

    ‖x − y‖² = ‖x‖² − 2 x·y + ‖y‖² is one product, of [−2x, ‖x‖², 1] and [y, 1, ‖y‖²], about an origin amid the block.
    It is wrong by at most (2d + 4) u (‖x‖ + ‖y‖)² (Higham 2002, §3.1), and the distance by half of that over the
    distance. Pairs too near to each other for `TOLERANCE`, among them each row and itself, are left to differences.
    """
    begin = block.start if once else 0
    codes, size = clusters.codes[begin:], block.stop - block.start
    X = clusters.Z[block] - np.median(clusters.Z[block], axis=0)
    Y = clusters.Z[begin:] - np.median(clusters.Z[block], axis=0)
    squares, own = np.einsum("ij,ij->i", Y, Y), np.einsum("ij,ij->i", X, X)
    left = np.ascontiguousarray(np.hstack([-2 * X, own[:, None], np.ones((size, 1))]).T)
    right = np.hstack([Y, np.ones((len(Y), 1)), squares[:, None]])
    bound = (X.shape[1] + 4) * EPS / 2 / TOLERANCE * (np.sqrt(own.max()) + np.sqrt(squares)) ** 2
    ends = np.cumsum(clusters.sizes) - begin
    totals = np.zeros((size, clusters.sizes.size))
    members = (
        clusters.codes[block] == np.arange(clusters.codes[block.start], clusters.codes[block.stop - 1] + 1)[:, None]
    )
    one_hot = members.astype(np.float64)
    others = np.empty((len(one_hot), len(Y) - size if once else 0))
    # In place, for a new array of this size is new memory every time, and that takes longer than a product.
    space = np.empty((size, max(size, BLOCK_COLUMNS)))
    cuts = [0, *range(size if once else BLOCK_COLUMNS, len(Y), BLOCK_COLUMNS), len(Y)]
    for start, stop in pairwise(cuts):
        distances = np.matmul(left.T, right[start:stop].T, out=space[:, : stop - start])
        if (distances.min(axis=0) < bound[start:stop]).any():
            near = distances < bound[start:stop]
            if FEW * np.count_nonzero(near) > near.size:
                distances = cdist(X, Y[start:stop], "sqeuclidean")
            else:
                _correct(distances, near, X, Y[start:stop])
        np.sqrt(distances, out=distances)
        first, last = codes[start], codes[stop - 1]
        totals[:, first : last + 1] += np.add.reduceat(distances, [0, *(ends[first:last] - start)], axis=1)
        if once and start:
            others[:, start - size : stop - size] = one_hot @ distances
    return totals, others


def _correct(squares: Floats, near: NDArray[np.bool_], X: Floats, Y: Floats) -> None:
    """Squared distances by differences where `near` says so."""
    i, j = np.nonzero(near)
    differences = X[i] - Y[j]
    squares[i, j] = np.einsum("ij,ij->i", differences, differences)
