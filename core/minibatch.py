"""Mini-batch k-means (Sculley 2010): each centre is the running mean of the rows it was given, batch upon batch."""

__all__ = [
    "Frame",
    "Learned",
    "MiniBatch",
    "Progress",
    "batch_frame",
    "learn",
    "mean_variance",
    "reassign",
]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from math import inf, isnan, nan

import numpy as np
from scipy import sparse

from core.codebook import SERIAL_PRODUCT, Codebook, assign
from core.fit import Step
from core.kmeans import Start, frame
from core.linalg import power_of_two
from core.rows import chunk_slices, one_blas_thread
from core.seeding import subsample
from core.sparse_rows import Rows, dense
from core.types import Floats, Ints, MapLike

# Units whose scale lies within these bounds have squares, and sums of them, far from either end of float64.
PLAIN_SCALE = 2.0**200


@dataclass(frozen=True)
class Frame:
    """The units in which batches are learned from: z = (x − offset) / scale, the scale a power of two."""

    offset: Floats
    scale: float
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", self.scale == 1 and not self.offset.any())

    def enter(self, X: Floats) -> Floats:
        """Rows or centres in these units; the very array where they are those of the data."""
        if self.plain:
            return X
        Z: Floats = (X - self.offset.astype(X.dtype, copy=False)) / X.dtype.type(self.scale)
        return Z

    def leave(self, centers: Floats) -> Floats:
        """Centres in the units of the data."""
        return centers if self.plain else centers * self.scale + self.offset


def batch_frame(X: Rows) -> Frame:
    """The units of k-means, or those of the data where the rows lie about the origin and have ordinary sizes.

    An offset of a few spreads costs some bits of the squares; a copy of each batch would cost as much as its
    assignment.
    """
    offset, scale = frame(X)
    ordinary = 1 / PLAIN_SCALE < scale < PLAIN_SCALE
    if ordinary and float(np.abs(offset).max()) <= 4 * scale:
        return Frame(np.zeros(X.shape[1]), 1.0)
    return Frame(offset.astype(np.float64), 1.0 if ordinary else scale)


def mean_variance(X: Rows, frame: Frame) -> float:
    """The mean variance of the features, in the units of the frame: two passes over a few rows at a time."""
    n_samples, d = X.shape
    slices = chunk_slices(n_samples, d, 1)
    sums = [frame.enter(dense(X[part])).sum(axis=0, dtype=np.float64) for part in slices]
    mean: Floats = np.sum(sums, axis=0) / n_samples
    squares = [float(np.square(frame.enter(dense(X[part])) - mean).sum()) for part in slices]
    return sum(squares) / float(n_samples * d)


@dataclass(frozen=True)
class Learned:
    """What batches have taught.

    `centers` (k, d) in the units of the frame, the weight of the rows behind each of them, `counts` (k,), and how
    many rows were seen since centres were last due to be reassigned.
    """

    centers: Floats
    counts: Floats
    since: int = 0


@dataclass(frozen=True)
class Sums:
    """Rows by nearest centre: their weights (k,), weighted sums (k, d), and inertia (nan where it was not asked)."""

    weights: Floats
    sums: Floats
    inertia: float


def learn(
    learned: Learned,
    Z: Floats,
    sample_weight: Floats | None,
    rng: np.random.Generator,
    *,
    reassignment_ratio: float,
    with_inertia: bool = False,
    chunk_map: MapLike = map,
) -> tuple[Learned, float]:
    """What is known after one more batch, and the batch's inertia before it (nan unless asked for).

    Each row x moves its nearest centre, c ← (1 − 1/v) c + x/v, v the count of the rows it had, x among them
    (Sculley 2010, algorithm 1): over a batch that is c ← c + Σ w (x − c) / (v + Σ w), v the weight before it.
    Assignments are those to the centres before the batch. Whenever `reassign` is due, it follows.
    """
    unit = 1.0 if sample_weight is None else power_of_two(float(sample_weight.max()))
    weight = None if sample_weight is None else sample_weight / unit
    sums = _sums(learned.centers, Z, weight, with_inertia, chunk_map)
    total = learned.counts / unit + sums.weights
    if np.count_nonzero(total) < total.size:
        # A centre that never had a row stays where it is.
        total[total == 0] = 1.0
    centers: Floats = learned.centers + (sums.sums - sums.weights[:, None] * learned.centers) / total[:, None]
    since = learned.since + Z.shape[0]
    due = since >= 10 * centers.shape[0] or np.count_nonzero(learned.counts) < total.size
    after = Learned(centers, learned.counts + unit * sums.weights, 0 if due else since)
    return reassign(after, Z, reassignment_ratio, rng) if due else after, sums.inertia * unit


def reassign(learned: Learned, Z: Floats, ratio: float, rng: np.random.Generator) -> Learned:
    """Moves centres whose count is below `ratio` times the largest to rows of the batch, drawn uniformly.

    At most half as many as there are rows, those of the least counts. Their counts become the least of the others,
    so that they are not moved again at once. This is scikit-learn's rule; Sculley has none.
    """
    low = learned.counts < ratio * float(np.maximum.reduce(learned.counts))
    if not np.count_nonzero(low):
        return learned
    if 2 * np.count_nonzero(low) > Z.shape[0]:
        low[np.argsort(learned.counts, kind="stable")[Z.shape[0] // 2 :]] = False
    chosen = rng.choice(Z.shape[0], int(np.count_nonzero(low)), replace=False)
    centers, counts = learned.centers.copy(), learned.counts.copy()
    centers[low] = Z[chosen]
    counts[low] = counts[~low].min()
    return replace(learned, centers=centers, counts=counts)


def _sums(centers: Floats, Z: Floats, weight: Floats | None, with_inertia: bool, chunk_map: MapLike) -> Sums:
    codebook = Codebook.of(centers)
    if Z.shape[0] * centers.size <= SERIAL_PRODUCT:
        return _chunk_sums(codebook, Z, weight, with_inertia)

    def one(part: slice) -> Sums:
        return _chunk_sums(codebook, Z[part], None if weight is None else weight[part], with_inertia)

    slices = chunk_slices(Z.shape[0], Z.shape[1], centers.shape[0])
    with one_blas_thread():
        # Asking a map costs more than a batch of a thousand rows.
        return one(slices[0]) if len(slices) == 1 else reduce(_add, chunk_map(one, slices))


def _chunk_sums(codebook: Codebook, Z: Floats, weight: Floats | None, with_inertia: bool) -> Sums:
    Z = Z.astype(np.float64, copy=False)
    inertia = nan
    if with_inertia:
        labels, squares = codebook.assign(Z)
        inertia = float(squares.sum() if weight is None else weight @ squares)
    else:
        labels = codebook.labels(Z)
    k = codebook.centers.shape[0]
    weights = np.bincount(labels, weight, k).astype(np.float64, copy=False)
    return Sums(weights, _sums_by_label(labels, Z, weight, k), inertia)


def _sums_by_label(labels: Ints, Z: Floats, weight: Floats | None, n_clusters: int) -> Floats:
    """Σ w z of each cluster (k, d), by a one-hot matrix: dense where that is little work, else sparse."""
    n_samples, d = Z.shape
    if max(n_samples, n_clusters) * n_clusters * d > SERIAL_PRODUCT:
        values = np.ones(n_samples) if weight is None else weight
        by_label = sparse.csc_array((values, labels, np.arange(n_samples + 1)), shape=(n_clusters, n_samples))
        return np.asarray(by_label @ Z)
    one_hot = _identity(n_clusters).take(labels, axis=0)
    if weight is not None:
        one_hot *= weight[:, None]
    sums: Floats = one_hot.T.dot(Z)
    return sums


@cache
def _identity(n_clusters: int) -> Floats:
    return np.eye(n_clusters)


def _add(a: Sums, b: Sums) -> Sums:
    return Sums(a.weights + b.weights, a.sums + b.sums, a.inertia + b.inertia)


@dataclass(frozen=True)
class Progress:
    """Where a fit stands after `steps` batches.

    `seed` (4,) are the words from which each batch draws its own random numbers; `smoothed` is the exponentially
    weighted mean of the batches' mean inertia (nan before the second), `least` the least it was, and `stale` how many
    batches ago.
    """

    learned: Learned
    seed: Floats
    steps: int = 0
    smoothed: float = nan
    least: float = inf
    stale: int = 0


@dataclass(frozen=True)
class MiniBatch:
    """A whole fit by mini-batches: an `Algorithm` whose iteration is one batch, drawn with replacement by weight.

    `seed` gives centres in the units of the data. Of `n_init` starts the one with the least inertia on `validation`
    rows, drawn once, is taken. A fit is quiet, as scikit-learn's, when the smoothed inertia had no new least for
    `max_no_improvement` batches (None: never), or when the squared shifts of the centres sum to at most `tol` times
    the mean variance of the features (0: never). Batches are drawn from (seed, step) alone: `step` is a function.
    """

    X: Rows
    sample_weight: Floats
    n_clusters: int
    seed: Start = field(repr=False)
    batch_size: int
    max_no_improvement: int | None = 10
    tol: float = 0.0
    reassignment_ratio: float = 0.01
    n_init: int = 1
    validation: int = 0
    chunk_map: MapLike = map
    frame: Frame = field(init=False)
    threshold: float = field(init=False)
    cumulative: Floats | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        frame = batch_frame(self.X)
        weight = self.sample_weight / self.sample_weight.max()
        variance = mean_variance(self.X, frame) if self.tol > 0 else 0.0
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "threshold", self.tol * variance)
        object.__setattr__(self, "cumulative", None if (weight == 1).all() else np.cumsum(weight))

    @property
    def sign(self) -> int:
        """Inertia is minimised."""
        return -1

    def start(self, rng: np.random.Generator) -> Progress:
        """The best of the starts, in the units of the frame."""
        words = rng.integers(0, 2**32, size=4).astype(np.float64)
        starts = [self._centers(rng) for _ in range(self.n_init)]
        if len(starts) > 1:
            chosen = subsample(self.X.shape[0], self.n_clusters, self.validation, rng)
            Z, weight = self.frame.enter(dense(self.X[chosen])), self.sample_weight[chosen] / self.sample_weight.max()
            starts.sort(key=lambda centers: float(weight @ assign(Z, centers)[1]))
        return Progress(Learned(starts[0], np.zeros(self.n_clusters)), words)

    def _centers(self, rng: np.random.Generator) -> Floats:
        centers: Floats = self.frame.enter(self.seed(rng).astype(np.float64))
        return centers

    def step(self, progress: Progress) -> Step[Progress]:
        """Learns from one batch; the objective is the smoothed inertia a row."""
        rng = np.random.Generator(np.random.PCG64([*progress.seed.astype(int).tolist(), progress.steps]))
        before = progress.learned
        learned, inertia = learn(
            before,
            self.frame.enter(dense(self.X[self._draw(rng)])),
            None,
            rng,
            reassignment_ratio=self.reassignment_ratio,
            with_inertia=True,
            chunk_map=self.chunk_map,
        )
        shift = float(((learned.centers - before.centers) ** 2).sum()) if self.threshold > 0 else inf
        mean = inertia / self.batch_size
        after = replace(progress, learned=learned, steps=progress.steps + 1)
        # The first batch tells of the start, not of what was learned.
        if after.steps == 1:
            return Step(after, mean, shift)
        alpha = min(2 * self.batch_size / (self.X.shape[0] + 1), 1.0)
        smoothed = mean if isnan(progress.smoothed) else (1 - alpha) * progress.smoothed + alpha * mean
        stale = 0 if smoothed < progress.least else progress.stale + 1
        after = replace(after, smoothed=smoothed, least=min(smoothed, progress.least), stale=stale)
        return Step(after, smoothed, shift)

    def _draw(self, rng: np.random.Generator) -> Ints:
        n_samples = self.X.shape[0]
        if self.cumulative is None:
            return rng.integers(0, n_samples, size=self.batch_size)
        drawn = np.searchsorted(self.cumulative, rng.random(self.batch_size) * self.cumulative[-1], side="right")
        # The product may round up to the total.
        chosen: Ints = np.minimum(drawn, n_samples - 1)
        return chosen

    def quiet(self, step: Step[Progress], change: float) -> bool:
        """Whether the centres stand still, or the smoothed inertia no longer improves."""
        if step.parameters.steps == 1:
            return False
        limit = self.max_no_improvement
        return 0 < self.threshold >= step.shift or (limit is not None and step.parameters.stale >= limit)

    def slack(self, objective: float) -> float:
        """Batches differ: no rise of the smoothed inertia is a fault."""
        return inf

    def finish(self, progress: Progress, objective: float) -> float:
        """The smoothed inertia, as it stands."""
        return objective

    def pack(self, progress: Progress) -> dict[str, Floats]:
        """All of the progress as arrays of float64, whose whole numbers are exact."""
        learned = progress.learned
        numbers = [learned.since, progress.steps, progress.smoothed, progress.least, progress.stale]
        return {
            "centers": learned.centers,
            "counts": learned.counts,
            "seed": progress.seed,
            "progress": np.array(numbers, dtype=np.float64),
        }

    def unpack(self, arrays: Mapping[str, Floats]) -> Progress:
        """The inverse of `pack`."""
        since, steps, smoothed, least, stale = (float(value) for value in arrays["progress"])
        learned = Learned(arrays["centers"], arrays["counts"], int(since))
        return Progress(learned, arrays["seed"], int(steps), smoothed, least, int(stale))

    def inertia(self, objective: float) -> float:
        """An inertia a row, or a change of it, as one of all rows by their weights, in squared units of the data."""
        return objective * float(self.sample_weight.sum()) * self.frame.scale * self.frame.scale
