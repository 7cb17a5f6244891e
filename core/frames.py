"""Rows in the units of a fit of k-means: less an offset, over a power of two, and kept in float32 for products."""

__all__ = ["FramedChunk", "FramedRows", "Places", "chunk_slices", "frame"]

from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.assignment import augmented, block_slices, less
from core.errors import InvalidRows
from core.linalg import power_of_two
from core.sparse_rows import Rows, dense
from core.types import Floats, Ints, MapLike

Places: TypeAlias = Ints | slice

# A chunk, one task of a thread: smaller ones cost more to hand over than to work on, fewer of them leave threads idle.
# Threads hand the interpreter to one another at each of NumPy's calls: a pair of chunks has this many values at most.
CHUNK_VALUES, CHUNK_ROWS_MAX, CHUNKS, WORTH_CUTTING = 2**22, 2**17, 8, 2**19

# Rows of a scale between these, and less far from the origin than so many spreads, are summed as they came.
PLAIN_SCALE, NEAR_ORIGIN = 2.0**200, 4.0

# Rows that the offset and the usual size of a feature are estimated from.
SAMPLE = 1024


def frame(X: Rows) -> tuple[Floats, float]:
    """An offset (d,) in the midst of the rows, and a power of two near their spread.

    The offset is the median of a thousand rows or so: unlike the mean it stays where most rows are when one lies far
    out, and equal rows become exactly 0. That of sparse rows is 0, which most of their values are.
    """
    offset, low, high = _extremes(X)
    return offset, _scale(offset, low, high)


def _scale(offset: Floats, low: Floats, high: Floats) -> float:
    with np.errstate(over="ignore"):
        spread = float(np.maximum(high - offset, offset - low).max())
    if not np.isfinite(spread):
        raise InvalidRows("the rows spread over more than the largest float, 1.8e308: scale the data")
    return power_of_two(spread)


def _extremes(X: Rows) -> tuple[Floats, Floats, Floats]:
    """Offset, least and largest value of each feature, (d,) each."""
    if sparse.issparse(X):
        low, high = (np.asarray(side.toarray(), dtype=np.float64).ravel() for side in (X.min(axis=0), X.max(axis=0)))
        return np.zeros(X.shape[1]), low, high
    some = np.sort(X[:: 1 + X.shape[0] // SAMPLE], axis=0)
    offset: Floats = some[some.shape[0] // 2].astype(np.float64)
    low, high = (_reduced(X, side).astype(np.float64) for side in (np.minimum, np.maximum))
    return offset, low, high


def _reduced(X: Floats, reduction: "np.ufunc") -> Floats:
    """The reduction of each column. Rows side by side are one long row: reducing few columns at a time is slow."""
    n_samples, width = X.shape
    beside = max(1, min(n_samples, SAMPLE // width))
    whole = n_samples // beside * beside
    wide = reduction.reduce(X[:whole].reshape(-1, beside * width), axis=0).reshape(beside, width)
    result: Floats = reduction.reduce(np.concatenate([wide, X[whole:]]), axis=0)
    return result


@dataclass(frozen=True)
class FramedChunk:
    """Consecutive rows and their weights (m,), the first one's index, and the frame that they are seen in.

    `kept` holds the rows as `augmented`, or None where they are made when needed: sparse rows would no longer be small.
    """

    X: Rows
    sample_weight: Floats
    start: int
    offset: Floats
    scale: float
    kept: NDArray[np.float32] | None = None

    @property
    def n_samples(self) -> int:
        """m."""
        return int(self.X.shape[0])

    @property
    def unweighted(self) -> bool:
        """Whether every weight is 1: the one array of them that takes no memory holds that alone."""
        return self.sample_weight.strides == (0,) and self.sample_weight[0] == 1

    @property
    def summable(self) -> Floats | None:
        """The rows as they came, where sums of them lose no more than a few bits to the offset: else None."""
        if not isinstance(self.X, np.ndarray) or self.X.dtype != np.float64:
            return None
        ordinary = 1 / PLAIN_SCALE < self.scale < PLAIN_SCALE
        return self.X if ordinary and float(np.abs(self.offset).max()) <= NEAR_ORIGIN * self.scale else None

    def exact(self, places: Places) -> Floats:
        """Rows (m, d) in the units of the fit, in float64."""
        Z = less(dense(self.X[places]), self.offset)
        Z *= 1 / self.scale
        return Z

    def augmented(self, places: Places) -> NDArray[np.float32]:
        """Rows as [z, 1, ‖z‖²], shape (m, d + 2)."""
        if self.kept is None:
            return augmented(self.exact(places))
        return self.kept[places] if isinstance(places, slice) else self.kept.take(places, axis=0)

    def blocks(self, n_clusters: int) -> list[slice]:
        """Slices of rows few enough to stay in the cache with their products."""
        return block_slices(self.n_samples, self.X.shape[1], n_clusters)


@dataclass(frozen=True)
class _Survey:
    """Of a chunk: its rows kept, Σ z (d,), Σ ‖z‖² and Σ w ‖z‖²."""

    kept: NDArray[np.float32] | None
    total: Floats
    square: float
    weighted_square: float


def _survey(keep: bool, chunk: FramedChunk) -> _Survey:
    n_samples, d = chunk.X.shape
    kept = np.empty((n_samples, d + 2), dtype=np.float32) if keep else None
    total, square, weighted_square = np.zeros(d), 0.0, 0.0
    for part in chunk.blocks(1):
        Z = chunk.exact(part)
        norms = np.einsum("ij,ij->i", Z, Z)
        total += np.ones(Z.shape[0]) @ Z
        square += float(norms.sum())
        weighted_square += float((norms * chunk.sample_weight[part]).sum())
        if kept is not None:
            kept[part, :d], kept[part, d], kept[part, d + 1] = Z, 1, norms
    return _Survey(kept, total, square, weighted_square)


@dataclass(frozen=True)
class FramedRows:
    """All rows of a fit in its frame, as chunks; their weights count in units of a power of two near the largest.

    `variance` is the mean variance of the features, `square` Σ w ‖z‖², both in the units of the fit.
    """

    chunks: list[FramedChunk]
    offset: Floats
    scale: float
    weight_unit: float
    variance: float
    square: float

    @property
    def n_samples(self) -> int:
        """n."""
        return sum(chunk.n_samples for chunk in self.chunks)

    @classmethod
    def of(cls, X: Rows, sample_weight: Floats, n_clusters: int, chunk_map: MapLike = map) -> "FramedRows":
        """Rows (n, d), all of positive weight (n,), framed and cut into chunks for `n_clusters` centres.

        The float32 rows kept are d + 2 numbers each. Raises `InvalidRows` when the rows' spread overflows.
        """
        offset, low, high = _extremes(X)
        scale = _scale(offset, low, high)
        lightest, heaviest = float(sample_weight.min()), float(sample_weight.max())
        unit = power_of_two(heaviest)
        n_samples, d = X.shape
        # Weights that are all the same need no array of their own.
        same = lightest == heaviest
        weight = np.broadcast_to(np.float64(heaviest / unit), (n_samples,)) if same else sample_weight / unit
        chunks = [
            FramedChunk(X[part], weight[part], part.start, offset, scale)
            for part in chunk_slices(n_samples, d + n_clusters)
        ]
        survey = partial(_survey, not sparse.issparse(X))
        parts = list(chunk_map(survey, chunks))
        chunks = [
            FramedChunk(chunk.X, chunk.sample_weight, chunk.start, offset, scale, part.kept)
            for chunk, part in zip(chunks, parts, strict=True)
        ]
        # About the median, which is within a standard deviation of the mean: the difference keeps its digits.
        mean = np.sum([part.total for part in parts], axis=0) / n_samples
        variance = max((sum(part.square for part in parts) / n_samples - float(mean @ mean)) / d, 0.0)
        return cls(chunks, offset, scale, unit, variance, sum(part.weighted_square for part in parts))


def chunk_slices(n_samples: int, width: int) -> list[slice]:
    """Slices of equal length that cover the rows in order, for as many numbers a row: the same on any machine."""
    count = 1
    if n_samples * width >= WORTH_CUTTING:
        count = max(min(CHUNKS, 2 * -(-n_samples * width // CHUNK_VALUES)), -(-n_samples // CHUNK_ROWS_MAX))
    size = -(-n_samples // count)
    return [slice(start, min(start + size, n_samples)) for start in range(0, n_samples, size)]
