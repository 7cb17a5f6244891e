"""Where a fit starts: rows chosen as centres, and labels for the first M-step of a mixture."""

__all__ = [
    "block_labels",
    "choose_far_apart",
    "kmeans_labels",
    "kmeans_plus_plus",
    "nearest_labels",
    "random_resp",
    "random_rows",
    "start_on_subsample",
    "subsample",
]

import numpy as np

from core.checks import check_integer
from core.errors import InvalidParameter
from core.far_apart import choose_far_apart
from core.fit import fit_steps
from core.frames import FramedRows
from core.kmeans import Centroids, Lloyd, assign
from core.sparse_rows import Rows, dense
from core.types import Floats, Ints, MapLike


def kmeans_plus_plus(
    X: Rows, n_clusters: int, sample_weight: Floats, rng: np.random.Generator, chunk_map: MapLike = map
) -> Ints:
    """Indices (n_clusters,) of rows chosen far apart: greedy k-means++ (Arthur & Vassilvitskii 2007).

    A row is drawn with probability proportional to w D², D its distance to the nearest centre chosen before; of
    2 + ⌊log k⌋ such candidates the one that leaves the least Σ w D² is kept. Draws go by cumulative weight in the order
    of the rows: a row of weight 2 is chosen where two copies of it, one after the other, would be.
    """
    counted = np.flatnonzero(sample_weight > 0)
    if counted.size == X.shape[0]:
        return choose_far_apart(FramedRows.of(X, sample_weight, n_clusters, chunk_map), n_clusters, rng, chunk_map)
    rows = FramedRows.of(X[counted], sample_weight[counted], n_clusters, chunk_map)
    chosen: Ints = counted[choose_far_apart(rows, n_clusters, rng, chunk_map)]
    return chosen


def random_rows(X: Rows, n_clusters: int, sample_weight: Floats, rng: np.random.Generator) -> Ints:
    """Indices (n_clusters,) of distinct rows drawn at random, by weight (Efraimidis & Spirakis 2006).

    The rows that arrive first when each waits for a time of exponential distribution, its rate the row's weight.
    """
    with np.errstate(over="ignore", divide="ignore"):
        arrival = rng.exponential(size=X.shape[0]) / (sample_weight / sample_weight.max())
    first = np.argpartition(arrival, n_clusters - 1)[:n_clusters]
    chosen: Ints = first[np.argsort(arrival[first], kind="stable")]
    return chosen


def nearest_labels(X: Floats, chosen: Ints) -> Ints:
    """Labels (n,) of the nearest of the chosen rows.

    Scikit-learn gives each chosen row to its component and no other row to any: covariances of `reg_covar` alone,
    whose first E-step is this assignment, and nothing at all when `reg_covar` is 0.
    """
    labels, _ = assign(X, X[chosen])
    labels[chosen] = np.arange(chosen.shape[0])
    return labels


def random_resp(n_samples: int, n_components: int, rng: np.random.Generator) -> Floats:
    """Responsibilities (n, k) drawn uniformly, each row divided by its sum."""
    resp = rng.random((n_samples, n_components))
    normalised: Floats = resp / resp.sum(axis=1, keepdims=True)
    return normalised


def block_labels(n_samples: int, n_components: int) -> Ints:
    """Labels (n,) of consecutive blocks of rows whose sizes differ by at most one."""
    return np.arange(n_samples, dtype=np.int64) * n_components // n_samples


def kmeans_labels(
    X: Floats,
    n_components: int,
    sample_weight: Floats,
    rng: np.random.Generator,
    chunk_map: MapLike = map,
    *,
    init_size: int | None = None,
) -> Ints:
    """Labels (n,) by one run of k-means from a k-means++ start, with the defaults of `KMeans`.

    With `init_size` k-means sees that many rows alone, `subsample`; every row is then given to the nearest of the
    centres found on them.
    """
    centers = start_on_subsample(X, n_components, sample_weight, rng, chunk_map, init_size)
    return Centroids(centers).labels(X, chunk_map)


def start_on_subsample(
    X: Rows,
    n_clusters: int,
    sample_weight: Floats,
    rng: np.random.Generator,
    chunk_map: MapLike = map,
    init_size: int | None = None,
    *,
    far_apart: bool = True,
) -> Floats:
    """Centres (k, d) of one run of k-means, with the defaults of `KMeans`, on a `subsample` of the rows.

    It starts from k-means++, or from random rows when they are not to be `far_apart`.
    """
    some = subsample(X.shape[0], n_clusters, init_size, rng)
    rows, weight = X[some], sample_weight[some]

    def seed(generator: np.random.Generator) -> Floats:
        if far_apart:
            chosen = choose_far_apart(lloyd.rows, n_clusters, generator, chunk_map)
        else:
            chosen = random_rows(rows, n_clusters, weight, generator)
        return dense(rows[chosen])

    lloyd = Lloyd(rows, weight, n_clusters, seed, chunk_map=chunk_map)
    steps = fit_steps(lloyd, rng, n_init=1, max_iter=300)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return lloyd.centroids(stop.value.parameters).cluster_centers


def subsample(n_samples: int, n_clusters: int, init_size: int | None, rng: np.random.Generator) -> Ints | slice:
    """Indices of `init_size` rows drawn uniformly without replacement, in their order; all rows for None or enough.

    The rows keep their weights: weighted statistics of the subsample estimate those of the whole. Raises
    `InvalidParameter` for fewer rows than clusters.
    """
    if init_size is None:
        return slice(None)
    if check_integer("init_size", init_size, 1) < n_clusters:
        raise InvalidParameter("init_size", init_size, f"must be at least the number of clusters, {n_clusters}")
    if init_size >= n_samples:
        return slice(None)
    return np.sort(rng.choice(n_samples, init_size, replace=False, shuffle=False))
