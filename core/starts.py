"""Statistics for the first M-step of a mixture, from labels of the rows or responsibilities drawn at random."""

__all__ = ["STARTS", "starting_statistics", "statistics_from_labels"]

from functools import partial
from itertools import pairwise

import numpy as np

from core.covariance import Covariance
from core.mixture import Statistics, combine, statistics_of, statistics_of_groups
from core.rows import Chunk, map_reduce
from core.seeding import (
    block_labels,
    kmeans_labels,
    kmeans_plus_plus,
    nearest_labels,
    random_resp,
    random_rows,
    subsample,
)
from core.types import Floats, Ints, MapLike

STARTS = ("kmeans", "k-means++", "random", "random_from_data", "block")


def starting_statistics(
    init_params: str,
    structure: type[Covariance],
    X: Floats,
    sample_weight: Floats,
    chunks: list[Chunk],
    n_components: int,
    rng: np.random.Generator,
    chunk_map: MapLike = map,
    init_size: int | None = None,
) -> Statistics:
    """Statistics of the rows under the responsibilities of a start, one of `STARTS`.

    `chunks` are those of X (n, d), with weights in whatever unit the statistics shall count in. With `init_size` the
    centres of "kmeans" and "k-means++" are found on so many rows alone.
    """
    if init_params == "random":
        resp = random_resp(X.shape[0], n_components, rng)
        drawn: Statistics = map_reduce(
            partial(_under_resp, structure, resp), chunks, partial(combine, structure), chunk_map
        )
        return drawn
    if init_params == "block":
        labels = block_labels(X.shape[0], n_components)
    elif init_params == "kmeans":
        labels = kmeans_labels(X, n_components, sample_weight, rng, chunk_map, init_size=init_size)
    elif init_params == "k-means++":
        some = subsample(X.shape[0], n_components, init_size, rng)
        chosen = kmeans_plus_plus(X[some], n_components, sample_weight[some], rng)
        labels = nearest_labels(X, np.arange(X.shape[0])[some][chosen])
    else:
        labels = nearest_labels(X, random_rows(X, n_components, sample_weight, rng))
    return statistics_from_labels(structure, chunks, labels, n_components, chunk_map)


def statistics_from_labels(
    structure: type[Covariance],
    chunks: list[Chunk],
    labels: Ints,
    n_components: int,
    chunk_map: MapLike = map,
) -> Statistics:
    """Statistics of rows whose component is known: responsibilities are 0 or 1."""
    total: Statistics = map_reduce(
        partial(_under_labels, structure, labels, n_components), chunks, partial(combine, structure), chunk_map
    )
    return total


def _under_resp(structure: type[Covariance], resp: Floats, chunk: Chunk) -> Statistics:
    rows = resp[chunk.start : chunk.start + chunk.X.shape[0]]
    return statistics_of(structure, chunk.X, rows * chunk.sample_weight[:, None], 0.0)


def _under_labels(structure: type[Covariance], labels: Ints, n_components: int, chunk: Chunk) -> Statistics:
    own = labels[chunk.start : chunk.start + chunk.X.shape[0]]
    # Sorted by digits, where there are few.
    order = np.argsort(own.astype(np.min_scalar_type(n_components)), kind="stable")
    own = own[order]
    edges = np.searchsorted(own, np.arange(n_components + 1)).tolist()
    groups = [(component, slice(*edge)) for component, edge in enumerate(pairwise(edges)) if edge[0] < edge[1]]
    references = np.repeat(chunk.X[:1], n_components, axis=0)
    return statistics_of_groups(structure, chunk.X[order], chunk.sample_weight[order], own, groups, references)
