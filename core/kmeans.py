"""k-means: centres, the assignment of rows to them, and Lloyd's iteration over chunks of rows."""

__all__ = ["Centroids", "Lloyd", "assign", "frame"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.spatial.distance import cdist

from core.checks import check_rows, check_sample_weight
from core.covariance import Spherical
from core.errors import InvalidRows
from core.fit import Step
from core.linalg import power_of_two, row_norms
from core.rows import Chunk, chunk_rows, chunk_slices, map_reduce
from core.tails import far_log_responsibilities
from core.types import Floats, Ints, MapLike

# Below this, squares of differences may vanish; times 2⁶⁰⁰ they are far from either end.
SMALL = 1e-100

# Squares this many times that of the centres' extent: a difference of two of them has lost half its digits.
FAR = 1e16

Start = Callable[[np.random.Generator], Floats]


@dataclass(frozen=True)
class Centroids:
    """The centres of k-means: cluster_centers (n_clusters, n_features)."""

    cluster_centers: Floats

    @property
    def n_clusters(self) -> int:
        """k."""
        return int(self.cluster_centers.shape[0])

    @property
    def n_features(self) -> int:
        """d."""
        return int(self.cluster_centers.shape[1])

    def nearest(self, X: ArrayLike) -> tuple[Ints, Floats]:
        """Each row's nearest centre and the Euclidean distance to it, both (n,); the first of equals."""
        rows = check_rows(X, self.n_features)
        slices = chunk_slices(rows.shape[0], rows.shape[1], self.n_clusters)
        labels = np.concatenate([assign(rows[part], self.cluster_centers)[0] for part in slices])
        with np.errstate(over="ignore"):
            distances = [row_norms(rows[part] - self.cluster_centers[labels[part]]) for part in slices]
        return labels, np.concatenate(distances)

    def predict(self, X: ArrayLike) -> Ints:
        """Each row's nearest centre, shape (n,)."""
        return self.nearest(X)[0]

    def distances(self, X: ArrayLike) -> Floats:
        """Euclidean distance of each row to each centre, shape (n, k)."""
        rows = check_rows(X, self.n_features)
        with np.errstate(over="ignore"):
            return np.stack([row_norms(rows - center) for center in self.cluster_centers], axis=1)

    def inertia(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Σ w ‖x − nearest centre‖², in squared units of the data."""
        distance = self.nearest(X)[1]
        weight = check_sample_weight(sample_weight, distance.shape[0])
        with np.errstate(over="ignore"):
            return float(weight @ distance**2)


def assign(X: Floats, centers: Floats) -> tuple[Ints, Floats]:
    """Labels (n,) of the nearest centres and squared distances (n,) to them.

    Squares of differences, not ‖x‖² − 2x·c + ‖c‖²: that form loses the digits that decide between near centres.
    Rows so far away that their squares overflow, or hold no digits of what tells the centres apart, are compared
    as by unit Gaussians (`far_log_responsibilities`); where all squares would vanish, in units of 2⁻⁶⁰⁰.
    """
    if 0 < max(np.abs(X).max(), np.abs(centers).max()) < SMALL:
        labels, nearest = assign(X * 2.0**600, centers * 2.0**600)
        return labels, nearest * 2.0**-600 * 2.0**-600
    squares = cdist(X, centers, "sqeuclidean")
    labels = squares.argmin(axis=1)
    nearest = np.take_along_axis(squares, labels[:, None], axis=1)[:, 0]
    with np.errstate(over="ignore"):
        extent = float(np.square(centers - centers[0]).sum(axis=1).max())
    far = ~np.isfinite(nearest)
    if 0 < extent < np.inf:
        far |= nearest > FAR * extent
    if far.any():
        k, d = centers.shape
        units = Spherical(np.ones(k), np.ones(k), k, d)
        labels[far] = far_log_responsibilities(X[far], centers, units, np.zeros(k)).argmax(axis=1)
    return labels.astype(np.int64), nearest


@dataclass(frozen=True)
class Sums:
    """Statistics of rows under an assignment: inertia, weight a cluster (k,), weighted sums of rows (k, d)."""

    inertia: float
    weights: Floats
    sums: Floats


def assign_chunk(centers: Floats, chunk: Chunk) -> Sums:
    """Assigns a chunk's rows and sums them by cluster: a sparse one-hot matrix times the rows."""
    labels, squares = assign(chunk.X, centers)
    n_samples, n_clusters = chunk.X.shape[0], centers.shape[0]
    one_hot = sparse.csc_array((chunk.sample_weight, labels, np.arange(n_samples + 1)), shape=(n_clusters, n_samples))
    weights: Floats = np.bincount(labels, chunk.sample_weight, n_clusters).astype(np.float64)
    return Sums(float(chunk.sample_weight @ squares), weights, np.asarray(one_hot @ chunk.X))


def add(a: Sums, b: Sums) -> Sums:
    """Statistics of two sets of rows together."""
    return Sums(a.inertia + b.inertia, a.weights + b.weights, a.sums + b.sums)


@dataclass(frozen=True)
class Farthest:
    """The rows farthest from their centres: squared distances, rows, weights and labels, farthest first."""

    squares: Floats
    X: Floats
    sample_weight: Floats
    labels: Ints

    def first(self, count: int) -> "Farthest":
        """The `count` farthest; a stable sort keeps the order of the rows between equals."""
        order = np.argsort(-self.squares, kind="stable")[:count]
        return Farthest(self.squares[order], self.X[order], self.sample_weight[order], self.labels[order])


def farthest_chunk(centers: Floats, count: int, chunk: Chunk) -> Farthest:
    """The farthest rows of a chunk."""
    labels, squares = assign(chunk.X, centers)
    return Farthest(squares, chunk.X, chunk.sample_weight, labels).first(count)


def farthest_of(count: int, a: Farthest, b: Farthest) -> Farthest:
    """The farthest rows of two sets."""
    return Farthest(
        np.concatenate([a.squares, b.squares]),
        np.concatenate([a.X, b.X]),
        np.concatenate([a.sample_weight, b.sample_weight]),
        np.concatenate([a.labels, b.labels]),
    ).first(count)


@dataclass(frozen=True)
class Lloyd:
    """Lloyd's algorithm (1982) as `init` and `step`: an `Algorithm` whose parameters are centres (k, d).

    It works on z = (x − offset) / scale, the scale a power of two: an exact change of units which keeps squares
    far from overflow and underflow, and centres near the origin. `tol` is relative to the mean variance of the
    features, on the sum of squared shifts of the centres: zero shift is an assignment that did not change. Weights
    count in units of a power of two near the largest.
    """

    X: Floats
    sample_weight: Floats
    n_clusters: int
    seed: Start = field(repr=False)
    tol: float = 1e-4
    chunk_map: MapLike = map
    offset: Floats = field(init=False)
    scale: float = field(init=False)
    weight_unit: float = field(init=False)
    threshold: float = field(init=False)
    chunks: list[Chunk] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        offset, scale = frame(self.X)
        Z = (self.X - offset) / scale
        unit = power_of_two(float(self.sample_weight.max()))
        fields = {
            "offset": offset,
            "scale": scale,
            "weight_unit": unit,
            "threshold": self.tol * float(np.mean(np.var(Z, axis=0))),
            "chunks": chunk_rows(Z, self.sample_weight / unit, self.n_clusters),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def sign(self) -> int:
        """Inertia is minimised."""
        return -1

    def start(self, rng: np.random.Generator) -> Floats:
        """Centres from the seeding, in the units of the fit."""
        centers: Floats = (self.seed(rng) - self.offset) / self.scale
        return centers

    def step(self, centers: Floats) -> Step[Floats]:
        """Assigns every row to its nearest centre, then moves each centre to the mean of its rows."""
        sums = map_reduce(partial(assign_chunk, centers), self.chunks, add, self.chunk_map)
        moved = self._update(centers, sums)
        return Step(moved, sums.inertia, float(((moved - centers) ** 2).sum()))

    def quiet(self, step: Step[Floats], change: float) -> bool:
        """Whether the centres stand still."""
        return step.shift <= self.threshold

    def slack(self, objective: float) -> float:
        """Round-off of a sum of as many terms as there are rows."""
        return 1e-10 * abs(objective)

    def finish(self, centers: Floats, objective: float) -> float:
        """Inertia of the final centres under their own assignment, in the units of the fit."""
        sums = map_reduce(partial(assign_chunk, centers), self.chunks, add, self.chunk_map)
        return sums.inertia

    def pack(self, centers: Floats) -> dict[str, Floats]:
        """Centres in the units of the fit."""
        return {"centers": centers}

    def unpack(self, arrays: Mapping[str, Floats]) -> Floats:
        """The inverse of `pack`."""
        return arrays["centers"]

    def inertia(self, objective: float) -> float:
        """An objective, or a change of it, in squared units of the data; infinite where that is no float."""
        return objective * self.weight_unit * self.scale * self.scale

    def centroids(self, centers: Floats) -> Centroids:
        """Centres in the units of the data."""
        return Centroids(centers * self.scale + self.offset)

    def _update(self, centers: Floats, sums: Sums) -> Floats:
        weights, totals = sums.weights.copy(), sums.sums.copy()
        empty = np.flatnonzero(weights == 0)
        if empty.size:
            self._relocate(centers, empty, weights, totals)
        # A cluster that is still empty joins the heaviest: with fewer distinct rows than clusters, it has no place.
        occupied = weights > 0
        moved: Floats = totals / np.where(occupied, weights, 1.0)[:, None]
        moved[~occupied] = moved[int(weights.argmax())]
        return moved

    def _relocate(self, centers: Floats, empty: Ints, weights: Floats, totals: Floats) -> None:
        """Gives each empty cluster one of the rows farthest from their centres, and takes it from its own."""
        count = empty.size
        parts = self.chunk_map(partial(farthest_chunk, centers, count), self.chunks)
        far = reduce(partial(farthest_of, count), parts)
        if far.squares[0] == 0:
            return
        for cluster, row, weight, label in zip(empty, far.X, far.sample_weight, far.labels, strict=False):
            totals[label] -= row * weight
            weights[label] -= weight
            totals[cluster] = row * weight
            weights[cluster] = weight


def frame(X: Floats) -> tuple[Floats, float]:
    """An offset (d,) in the midst of the rows, and a power of two near their spread.

    The offset is the median of a thousand rows or so: unlike the mean it stays where most rows are when one lies far
    out, and equal rows become exactly 0.
    """
    some = np.sort(X[:: 1 + X.shape[0] // 1024], axis=0)
    offset: Floats = some[some.shape[0] // 2]
    with np.errstate(over="ignore"):
        spread = float(np.abs(X - offset).max())
    if not np.isfinite(spread):
        raise InvalidRows("the rows spread over more than the largest float, 1.8e308: scale the data")
    return offset, power_of_two(spread)
