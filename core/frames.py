"""Rows in the units of a fit of k-means: less an offset, over a power of two, and kept in float32 for products."""

__all__ = ["FramedChunk", "FramedRows", "Places", "chunk_slices", "frame"]

from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.assignment import BLOCK_VALUES, blocks_of, less, rows_of_block
from core.errors import InvalidRows
from core.grid import Grid
from core.linalg import power_of_two
from core.rows import map_in_order
from core.scratch import Pool, Scratch
from core.sparse_rows import Rows, dense
from core.types import Floats, Ints, MapLike

Places: TypeAlias = Ints | slice

# A chunk, one task of a thread: smaller ones cost more to hand over than to work on, fewer of them leave threads idle.
# Threads hand the interpreter to one another at each of NumPy's calls: a pair of chunks has this many values at most.
CHUNK_VALUES, CHUNK_ROWS_MAX, CHUNKS, WORTH_CUTTING = 2**22, 2**17, 8, 2**19

# Rows that the offset and the usual size of a feature are estimated from; most values are larger than this quantile.
SAMPLE, SMALL = 1024, 0.05
MINUTE = 2.0**-50


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


def _grid(X: Rows, sample_weight: Floats, offset: Floats, scale: float, largest: float) -> tuple[Grid, bool]:
    """The grid for sums of w z and w, of rows whose values |z| are at most `largest`; whether most are minute."""
    if sparse.issparse(X):
        sizes = np.abs(X.data[:: 1 + X.data.size // SAMPLE]) / scale
    else:
        sizes = np.abs(X[:: 1 + X.size // SAMPLE] - offset) / scale
    usual = _small(sizes[sizes > 0], largest)
    heaviest = float(sample_weight.max())
    usual_weight = _small(sample_weight[:: 1 + X.shape[0] // SAMPLE], heaviest)
    # Rounding on the way into the units of the fit may make a value larger by a bit.
    grid = Grid.of(heaviest * max(2 * largest, 1.0), usual_weight * min(usual, 1.0), X.shape[0])
    return grid, usual < MINUTE


def _small(values: Floats, otherwise: float) -> float:
    """A value that most are larger than."""
    place = int(SMALL * values.size)
    return float(np.partition(values, place)[place]) if values.size else otherwise


def _extremes(X: Rows) -> tuple[Floats, Floats, Floats]:
    """Offset, least and largest value of each feature, (d,) each."""
    if sparse.issparse(X):
        low, high = (np.asarray(side.toarray(), dtype=np.float64).ravel() for side in (X.min(axis=0), X.max(axis=0)))
        return np.zeros(X.shape[1]), low, high
    some = np.ascontiguousarray(X[:: 1 + X.shape[0] // SAMPLE].T)
    middle = some.shape[1] // 2
    offset: Floats = np.partition(some, middle, axis=1)[:, middle].astype(np.float64)
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

    `grid` cuts w z and w for their sums; `minute` says that most squares of z may be too small for float32; `block` is
    the number of rows in each of the blocks that products with centres are made of; `kept` are these, as `blocks_of`,
    or None where they are made when needed: sparse rows would be large.
    """

    X: Rows
    sample_weight: Floats
    start: int
    offset: Floats
    scale: float
    grid: Grid
    minute: bool
    block: int
    scratches: Pool[Scratch]
    kept: NDArray[np.float32] | None = None

    @property
    def n_samples(self) -> int:
        """m."""
        return int(self.X.shape[0])

    @property
    def unweighted(self) -> bool:
        """Whether every weight is 1: the one array of them that takes no memory holds that alone."""
        return self.sample_weight.strides == (0,) and self.sample_weight[0] == 1

    def exact(self, places: Places) -> Floats:
        """Rows (m, d) in the units of the fit, in float64."""
        if isinstance(places, slice) or not isinstance(self.X, np.ndarray):
            rows = dense(self.X[places])
        else:
            rows = self.X.take(places, axis=0)  # several times faster than to index them
        Z = less(rows, self.offset)
        Z *= 1 / self.scale
        return Z

    def blocks(self, places: Places) -> NDArray[np.float32]:
        """Rows as blocks (b, d + 2, m): whole ones for a slice of `batches`, as many as it takes for indices."""
        if not isinstance(places, slice):
            return blocks_of(self.exact(places), min(places.shape[0], self.block))
        if self.kept is None:
            return blocks_of(self.exact(places), self.block)
        return self.kept[places.start // self.block : -(-places.stop // self.block)]

    def batches(self, width: int) -> list[slice]:
        """Slices of rows, each of whole blocks, few enough to stay near the processor with `width` more numbers a row.

        Numbers are those of 32 bits. Of sparse rows, all is made afresh each time.
        """
        values = BLOCK_VALUES // 16 if sparse.issparse(self.X) else BLOCK_VALUES
        size = max(values // ((self.X.shape[1] + width + 2) * self.block), 1) * self.block
        return [slice(start, min(start + size, self.n_samples)) for start in range(0, self.n_samples, size)]


@dataclass(frozen=True)
class _Survey:
    """Of a chunk: its rows kept, Σ z (d,), Σ ‖z‖² and Σ w ‖z‖²."""

    kept: NDArray[np.float32] | None
    total: Floats
    square: float
    weighted_square: float


def _survey(keep: bool, chunk: FramedChunk) -> _Survey:
    n_samples, d = chunk.X.shape
    kept = np.empty((-(-n_samples // chunk.block), d + 2, chunk.block), dtype=np.float32) if keep else None
    total, square, weighted_square = np.zeros(d), 0.0, 0.0
    for part in chunk.batches(6 * d):
        Z = chunk.exact(part)
        norms = np.einsum("ij,ij->i", Z, Z)
        total += np.ones(Z.shape[0]) @ Z
        square += float(norms.sum())
        weighted_square += float((norms * chunk.sample_weight[part]).sum())
        if kept is not None:
            kept[part.start // chunk.block : -(-part.stop // chunk.block)] = blocks_of(Z, chunk.block)
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
        slices, scratches = chunk_slices(n_samples, d + n_clusters), Pool[Scratch]()
        block = rows_of_block(slices[0].stop, d, n_clusters)
        grid, minute = _grid(X, weight, offset, scale, float(np.maximum(high - offset, offset - low).max()) / scale)
        chunks = [
            FramedChunk(X[part], weight[part], part.start, offset, scale, grid, minute, block, scratches)
            for part in slices
        ]
        survey = partial(_survey, not sparse.issparse(X))
        parts = map_in_order(survey, chunks, chunk_map)
        chunks = [replace(chunk, kept=part.kept) for chunk, part in zip(chunks, parts, strict=True)]
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
