"""faiss' k-means: float32, a fixed number of iterations, every row used."""

__all__ = ["fit", "lloyd_faiss", "objectives"]

from typing import Any

import faiss
import numpy as np

from benchmarks.core.data import Array
from benchmarks.core.settings import THREADS
from benchmarks.core.timing import Side

faiss.omp_set_num_threads(THREADS)


def train(X: Array, k: int, iterations: int, init: Array | None = None, seed: int = 0) -> Any:
    """A fit; without `init` it draws its centres by k-means++."""
    kmeans = faiss.Kmeans(
        X.shape[1],
        k,
        niter=iterations,
        seed=seed,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        min_points_per_centroid=1,
        max_points_per_centroid=len(X),
    )
    kmeans.train(X, init_centroids=init)
    return kmeans


def objectives(X: Array, init: Array, iterations: int) -> Array:
    """The inertia before each iteration."""
    return np.asarray(train(X, len(init), iterations, init).obj)


def lloyd_faiss(X: Array, init: Array, timed: int) -> Side:
    """Its own clock's seconds an iteration, without the first one."""

    def side() -> float:
        passed = [stats["time"] for stats in train(X, len(init), 1 + timed, init).iteration_stats]
        return float(passed[-1] - passed[0]) / timed

    return side


def fit(X: Array, k: int, iterations: int, seed: int) -> float:
    """A whole fit with the rows' labels, as the others' leave them; its inertia."""
    squares, _ = train(X, k, iterations, seed=seed).assign(X)
    return float(squares.sum(dtype=np.float64))
