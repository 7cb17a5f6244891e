"""k-means: centres, and Lloyd's iteration over chunks of rows."""

__all__ = ["Centroids", "Lloyd", "assign", "frame"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from core.assignment import Target, block_slices, nearest_one
from core.bounds import THREADS_PAY, Assignment, Memory, reassign
from core.checks import check_sample_weight
from core.codebook import SERIAL_PRODUCT, Codebook, assign
from core.fit import Step
from core.frames import FramedChunk, FramedRows, chunk_slices, frame
from core.linalg import row_norms
from core.rows import one_blas_thread
from core.scratch import Scratch
from core.sparse_rows import Rows, check_any_rows, dense
from core.types import Floats, Ints, MapLike

# Beyond these, the square of a distance has lost digits, or all of it.
SMALL, LARGE = 1e-140, 1e150
SMALL_SQUARE, LARGE_SQUARE = SMALL**2, LARGE**2

# Where the inertia is this small beside Σ w ‖z‖², it is summed from differences: from sums it would lose digits.
CANCELLED = 1 / 64

# Roundings of a centre on its way to the units of the data, and of a row on its way from there, with room to spare.
ROUNDINGS = 16

Start = Callable[[np.random.Generator], Floats]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Centroids:
    """The centres of k-means: cluster_centers (n_clusters, n_features), shown read-only."""

    cluster_centers: Floats

    def __post_init__(self) -> None:
        # What is prepared from the centres would not follow a change of them.
        shown = self.cluster_centers[...]
        shown.flags.writeable = False
        object.__setattr__(self, "cluster_centers", shown)

    def __reduce__(self) -> tuple[type["Centroids"], tuple[Floats]]:
        return Centroids, (self.cluster_centers,)

    @cached_property
    def codebook(self) -> Codebook:
        """What rows are compared with."""
        return Codebook.of(self.cluster_centers)

    @property
    def n_clusters(self) -> int:
        """k."""
        return int(self.cluster_centers.shape[0])

    @property
    def n_features(self) -> int:
        """d."""
        return int(self.cluster_centers.shape[1])

    def nearest(self, X: ArrayLike | Rows) -> tuple[Ints, Floats]:
        """Each row's nearest centre and the Euclidean distance to it, both (n,); the first of equals."""
        rows = check_any_rows(X, self.n_features)
        labels, squares = self.codebook.assign(rows)
        distances = np.sqrt(squares)
        extreme = np.flatnonzero(~((squares > SMALL_SQUARE) & (squares < LARGE_SQUARE)))
        if extreme.size:
            with np.errstate(over="ignore"):
                distances[extreme] = row_norms(dense(rows[extreme]) - self.cluster_centers[labels[extreme]])
        return labels, distances

    def predict(self, X: ArrayLike | Rows) -> Ints:
        """Each row's nearest centre, shape (n,)."""
        return self.labels(check_any_rows(X, self.n_features))

    def labels(self, rows: Rows, chunk_map: MapLike = map) -> Ints:
        """`predict` for rows already checked, in several threads when there are many."""
        work = rows.shape[0] * self.cluster_centers.size
        if work <= SERIAL_PRODUCT:
            return self.codebook.labels(rows)
        with one_blas_thread():
            if work < THREADS_PAY:
                return self.codebook.labels(rows)
            parts = [rows[part] for part in chunk_slices(rows.shape[0], self.n_features + self.n_clusters)]
            return np.concatenate(list(chunk_map(self.codebook.labels, parts)))

    def distances(self, X: ArrayLike | Rows) -> Floats:
        """Euclidean distance of each row to each centre, shape (n, k)."""
        rows = check_any_rows(X, self.n_features)
        result = np.empty((rows.shape[0], self.n_clusters))
        for part in block_slices(rows.shape[0], self.n_features, self.n_clusters):
            block = dense(rows[part])
            found = cdist(block, self.cluster_centers)
            extreme = np.flatnonzero(~((found > SMALL) & (found < LARGE)).all(axis=1))
            if extreme.size:
                with np.errstate(over="ignore"):
                    each = [row_norms(block[extreme] - center) for center in self.cluster_centers]
                found[extreme] = np.stack(each, axis=1)
            result[part] = found
        return result

    def inertia(self, X: ArrayLike | Rows, sample_weight: ArrayLike | None = None) -> float:
        """Σ w ‖x − nearest centre‖², in squared units of the data."""
        distance = self.nearest(X)[1]
        weight = check_sample_weight(sample_weight, distance.shape[0])
        # Weight 0 times a square that overflows would be no number.
        counted = weight > 0
        with np.errstate(over="ignore"):
            return float(weight[counted] @ distance[counted] ** 2)


def squares_of(centers: Floats, item: tuple[FramedChunk, Memory]) -> Floats:
    """Squared distances (m,) of a chunk's rows to their own centres, from differences."""
    chunk, memory = item
    squares = np.empty(chunk.n_samples)
    for part in chunk.batches(6 * centers.shape[1]):
        Z = chunk.exact(part)
        Z -= centers.take(memory.labels[part], axis=0)
        np.einsum("ij,ij->i", Z, Z, out=squares[part])
    return squares


def inertia_of(centers: Floats, item: tuple[FramedChunk, Memory]) -> float:
    """Σ w ‖z − own centre‖² of a chunk."""
    return float((item[0].sample_weight * squares_of(centers, item)).sum())


def labels_again(target: Target, given: Centroids, blur: float, item: tuple[FramedChunk, Memory]) -> Ints:
    """A chunk's labels (m,), asked again of the centres as they are `given` where `blur` may change them."""
    chunk, memory = item
    labels = memory.labels.astype(np.int64)
    with chunk.scratches.borrowed(Scratch) as scratch, np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for part in chunk.batches(target.n_clusters):
            blocks = chunk.blocks(part)
            found = scratch.array("labels", (len(blocks), chunk.block), target.index_type)
            unsure = nearest_one(target, blocks, scratch, found, blur)
            unsure = unsure[unsure < part.stop - part.start] + part.start
            if unsure.size:
                labels[unsure] = given.predict(chunk.X[unsure])
    return labels


@dataclass(frozen=True)
class Farthest:
    """The rows farthest from their centres: squared distances, rows, weights and labels, farthest first."""

    squares: Floats
    Z: Floats
    sample_weight: Floats
    labels: NDArray[np.unsignedinteger]

    def first(self, count: int) -> "Farthest":
        """The `count` farthest; a stable sort keeps the order of the rows between equals."""
        order = np.argsort(-self.squares, kind="stable")[:count]
        return Farthest(self.squares[order], self.Z[order], self.sample_weight[order], self.labels[order])


def farthest_chunk(centers: Floats, count: int, item: tuple[FramedChunk, Memory]) -> Farthest:
    """The farthest rows of a chunk."""
    chunk, memory = item
    squares = squares_of(centers, item)
    order = np.argsort(-squares, kind="stable")[:count]
    return Farthest(squares[order], chunk.exact(order), chunk.sample_weight[order], memory.labels[order])


def farthest_of(count: int, a: Farthest, b: Farthest) -> Farthest:
    """The farthest rows of two sets."""
    return Farthest(
        np.concatenate([a.squares, b.squares]),
        np.concatenate([a.Z, b.Z]),
        np.concatenate([a.sample_weight, b.sample_weight]),
        np.concatenate([a.labels, b.labels]),
    ).first(count)


@dataclass
class Last:
    """The last assignment, from which the next one is less work; what comes out does not depend on it."""

    assignment: Assignment | None = None


@dataclass(frozen=True)
class Lloyd:
    """Lloyd's algorithm (1982) as `init` and `step`: an `Algorithm` whose parameters are centres (k, d).

    It works on z = (x − offset) / scale, the scale a power of two: an exact change of units which keeps squares
    far from overflow and underflow, and centres near the origin. `tol` is relative to the mean variance of the
    features, on the sum of squared shifts of the centres: zero shift is an assignment that did not change. Weights
    count in units of a power of two near the largest.
    """

    X: Rows
    sample_weight: Floats
    n_clusters: int
    seed: Start = field(repr=False)
    tol: float = 1e-4
    chunk_map: MapLike = map
    rows: FramedRows = field(init=False, repr=False)
    last: Last = field(init=False, repr=False, compare=False, default_factory=Last)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", FramedRows.of(self.X, self.sample_weight, self.n_clusters, self.chunk_map))

    @property
    def sign(self) -> int:
        """Inertia is minimised."""
        return -1

    def start(self, rng: np.random.Generator) -> Floats:
        """Centres from the seeding, in the units of the fit."""
        centers: Floats = (self.seed(rng) - self.rows.offset) / self.rows.scale
        return centers

    def assigned(self, centers: Floats) -> Assignment:
        """Every row given to its nearest centre."""
        assignment = reassign(self.last.assignment, centers, self.rows, self.chunk_map)
        self.last.assignment = assignment
        return assignment

    def step(self, centers: Floats) -> Step[Floats]:
        """Assigns every row to its nearest centre, then moves each centre to the mean of its rows."""
        assignment = self.assigned(centers)
        moved = self._update(assignment, assignment.sums.copy(), assignment.weights.copy())
        return Step(moved, self._inertia(assignment), float(((moved - centers) ** 2).sum()))

    def quiet(self, step: Step[Floats], change: float) -> bool:
        """Whether the centres stand still."""
        return step.shift <= self.tol * self.rows.variance

    def slack(self, objective: float) -> float:
        """Round-off of a sum of as many terms as there are rows."""
        return 1e-10 * abs(objective)

    def finish(self, centers: Floats, objective: float) -> float:
        """Inertia of the final centres under their own assignment, in the units of the fit."""
        return self._inertia(self.assigned(centers))

    def pack(self, centers: Floats) -> dict[str, Floats]:
        """Centres in the units of the fit."""
        return {"centers": centers}

    def unpack(self, arrays: Mapping[str, Floats]) -> Floats:
        """The inverse of `pack`."""
        return arrays["centers"]

    def inertia(self, objective: float) -> float:
        """An objective, or a change of it, in squared units of the data; infinite where that is no float."""
        return objective * self.rows.weight_unit * self.rows.scale * self.rows.scale

    def centroids(self, centers: Floats) -> Centroids:
        """Centres in the units of the data."""
        return Centroids(centers * self.rows.scale + self.rows.offset)

    def labels(self, centers: Floats, given: Centroids) -> Ints:
        """Labels (n,) of the rows by these centres as they are `given`: rounded, in the units of the data.

        Rows so near the middle of two centres that this rounding may change their labels are asked again.
        """
        size = max(float(np.abs(given.cluster_centers).max()), float(np.abs(self.rows.offset).max())) / self.rows.scale
        blur = (
            ROUNDINGS * float(np.sqrt(centers.shape[1])) * float(np.finfo(given.cluster_centers.dtype).eps) * (size + 2)
        )
        again = partial(labels_again, Target.of(centers), given, blur)
        return np.concatenate(self._map(again, self.assigned(centers)))

    def _inertia(self, assignment: Assignment) -> float:
        """Σ w ‖z‖² + Σₖ (Wₖ ‖cₖ‖² − 2 cₖ·Sₖ), or the sum of differences where that would cancel."""
        centers, sums, weights = assignment.centers, assignment.sums, assignment.weights
        inertia = self.rows.square + float((centers * (weights[:, None] * centers - 2 * sums)).sum())
        if inertia > CANCELLED * self.rows.square:
            return inertia
        return sum(self._map(partial(inertia_of, centers), assignment))

    def _map(self, function: Callable[[tuple[FramedChunk, Memory]], Result], assignment: Assignment) -> list[Result]:
        items = list(zip(self.rows.chunks, assignment.memories, strict=True))
        return list(self.chunk_map(function, items))

    def _update(self, assignment: Assignment, sums: Floats, weights: Floats) -> Floats:
        empty = np.flatnonzero(weights == 0)
        if empty.size:
            self._relocate(assignment, empty, sums, weights)
        # A cluster that is still empty joins the heaviest: with fewer distinct rows than clusters, it has no place.
        occupied = weights > 0
        moved: Floats = sums / np.where(occupied, weights, 1.0)[:, None]
        moved[~occupied] = moved[int(weights.argmax())]
        return moved

    def _relocate(self, assignment: Assignment, empty: Ints, sums: Floats, weights: Floats) -> None:
        """Gives each empty cluster one of the rows farthest from their centres, and takes it from its own."""
        count = empty.size
        parts = self._map(partial(farthest_chunk, assignment.centers, count), assignment)
        far = reduce(partial(farthest_of, count), parts)
        if far.squares[0] == 0:
            return
        for cluster, row, weight, label in zip(empty, far.Z, far.sample_weight, far.labels, strict=False):
            sums[label] -= row * weight
            weights[label] -= weight
            sums[cluster] = row * weight
            weights[cluster] = weight
