"""Sums of rows by label, and of their weights, kept up while labels change."""

__all__ = ["sums_moved"]

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.frames import FramedChunk, Places
from core.types import Floats, Ints

Labels = NDArray[np.integer]

# Values that are brought into the units of the fit, and cut, at a time.
PART_VALUES, ROWS_MAX = 2**17, 2**15

# Up to this many entries, a dense matrix of zeros and ones is made faster than a sparse one.
DENSE = 2**13

# A column with one entry for each row that comes, or one for where it leaves and one for where it goes.
COMES, ONE_EACH = np.ones(ROWS_MAX), np.arange(ROWS_MAX + 1, dtype=np.int32)
MOVES, TWO_EACH = np.tile([-1.0, 1.0], ROWS_MAX), np.arange(0, 2 * ROWS_MAX + 2, 2, dtype=np.int32)


def sums_moved(chunk: FramedChunk, before: Labels | None, labels: Labels, n_clusters: int) -> tuple[Floats, int]:
    """By how much the rows' change from the labels `before`, or from none, changes the sums of each cluster.

    These are of [w z, w], in exact parts (levels, k, d + 1): `Grid.joined` of all such changes, whatever they were, in
    any order, are Σ w z and Σ w of the last labels. Also tells how many rows changed.
    """
    d = chunk.X.shape[1]
    moved = np.zeros((chunk.grid.levels, n_clusters, d + 1))
    changed: Ints | None = None if before is None else np.flatnonzero(labels != before)
    count = chunk.n_samples if changed is None else changed.size
    size = min(max(PART_VALUES // d, 1), ROWS_MAX)
    for start in range(0, count, size):
        stop = min(start + size, count)
        places: Places = slice(start, stop) if changed is None else changed[start:stop]
        by_label = _changes(None if before is None else before[places], labels[places], n_clusters)
        Z = chunk.exact(places)
        if chunk.unweighted:
            # Numbers of rows are exact as they are.
            moved[0, :, d] += by_label @ COMES[: stop - start]
        else:
            weight = chunk.sample_weight[places]
            Z *= weight[:, None]
            for level, part in enumerate(chunk.grid.cut(weight.copy())):
                moved[level, :, d] += by_label @ part
        for level, part in enumerate(chunk.grid.cut(Z)):
            moved[level, :, :d] += by_label @ part
    return moved, count


def _changes(before: Labels | None, labels: Labels, n_clusters: int) -> Any:
    """A matrix (k, m) of 1 where a row comes to a label, and −1 where it leaves one; dense or sparse."""
    n_samples = labels.shape[0]
    if n_samples * n_clusters <= DENSE:
        each = np.arange(n_clusters)[:, None]
        comes = (labels == each).astype(np.float64)
        return comes if before is None else comes - (before == each)
    if before is None:
        columns = COMES[:n_samples], labels.astype(np.int32), ONE_EACH[: n_samples + 1]
    else:
        ends = np.empty((n_samples, 2), dtype=np.int32)
        ends[:, 0], ends[:, 1] = before, labels
        columns = MOVES[: 2 * n_samples], ends.ravel(), TWO_EACH[: n_samples + 1]
    return sparse.csc_array(columns, shape=(n_clusters, n_samples))
