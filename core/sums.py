"""Sums of rows by label, and of their weights."""

__all__ = ["sums_by_label"]

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.frames import FramedChunk, Places
from core.types import Floats

# Up to this many entries, a dense matrix of zeros and ones is made faster than a sparse one.
DENSE = 2**14

# Values that are brought into the units of the fit at a time, where rows are not summed as they are.
PART_VALUES, PART_ROWS_MAX = 2**18, 2**13

Labels = NDArray[np.signedinteger]


def sums_by_label(chunk: FramedChunk, labels: Labels, n_clusters: int) -> tuple[Floats, Floats]:
    """Σ w z (k, d) and Σ w (k,) of a chunk's rows by label, in the order of the rows.

    Rows that lie about the origin are summed as they came; Σ w less times the offset is taken off afterwards.
    """
    each = None if chunk.unweighted else chunk.sample_weight
    weights: Floats = np.bincount(labels, each, n_clusters).astype(np.float64)
    if chunk.summable is not None:
        sums = _sums(chunk, labels, n_clusters, slice(None), chunk.summable)
        sums -= weights[:, None] * chunk.offset
        sums /= chunk.scale
        return sums, weights
    sums = np.zeros((n_clusters, chunk.X.shape[1]))
    size = min(max(PART_VALUES // chunk.X.shape[1], 1), PART_ROWS_MAX)
    for start in range(0, chunk.n_samples, size):
        part = slice(start, start + size)
        sums += _sums(chunk, labels, n_clusters, part, chunk.exact(part))
    return sums, weights


def _sums(chunk: FramedChunk, labels: Labels, n_clusters: int, part: Places, rows: Floats) -> Floats:
    places = labels[part]
    n_samples = places.shape[0]
    if n_samples * n_clusters <= DENSE:
        one_hot = (places == np.arange(n_clusters, dtype=labels.dtype)[:, None]).astype(np.float64)
        if not chunk.unweighted:
            one_hot *= chunk.sample_weight[part]
        dense_sums: Floats = one_hot @ rows
        return dense_sums
    entries = np.ones(n_samples) if chunk.unweighted else chunk.sample_weight[part]
    starts = np.arange(n_samples + 1, dtype=places.dtype)
    sums: Floats = sparse.csc_array((entries, places, starts), shape=(n_clusters, n_samples)) @ rows
    return sums
