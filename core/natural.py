"""EM's sums over rows by two matrix products: log-densities H·T, and moments R·Tᵀ, with T the terms of the rows.

Rows are taken in blocks: T holds (block, term, row), log-densities (block, component, row), so that all but the
products goes along rows, without a transposition. Runs of blocks are what is mapped over threads.
"""

__all__ = ["Layout", "Run", "Sums", "add", "layout_of", "runs_of"]

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from core.covariance import Covariance
from core.covariance.terms import Terms
from core.mixture import Statistics, combine
from core.near import Direct
from core.types import Floats, Ints

# OpenBLAS has kernels for products of at most so many operations that do not first copy their operands: half of the
# time where k is 16. Of A·Bᵀ they compute only small results. Blocks are cut accordingly.
SMALL_PRODUCT, SMALL_RESULT = 10**6, 1200
BLOCK_ROWS_MIN, BLOCK_ROWS_MAX, LARGE_BLOCK = 64, 2048, 256
# Terms in work at a time (4 MiB of doubles), and at most kept for a whole fit (32 MiB).
BATCH_VALUES, KEPT_VALUES = 2**19, 2**22
BATCH_ROWS_MAX = 2**14
# Log-densities in work at a time where sums are from residuals (4 MiB of doubles), and how many runs there should be.
DIRECT_VALUES, DIRECT_RUNS = 2**19, 8
RUNS_MAX = 16
# Elementary operations of a step below which a second thread costs more than it brings.
WORTH_A_THREAD = 2**23
# A row at this many standard deviations of all rows, in the mean of its features, is computed by itself.
FAR_DEVIATIONS = 10.0
# Features are centred so many rows at a time: NumPy's innermost loop is then long.
TILE = 8

# Where the sum of a row's densities lies between these, it needs no log-sum-exp: what vanishes beside it is nothing.
PLAIN_SUMS = {np.dtype(np.float64): (1e-250, 1e300), np.dtype(np.float32): (1e-28, 1e36)}
# Logarithms of densities that are nothing beside any of these.
FLOOR = {np.dtype(np.float64): -700.0, np.dtype(np.float32): -85.0}


@dataclass(frozen=True)
class Layout:
    """How rows are cut: follows from the shape of the problem alone, as does with it the rounding of every sum."""

    n_terms: int
    n_components: int
    block: int  # rows
    batch: int  # blocks in work at a time
    piece: int  # of them, those whose terms are in work at a time
    parts: int  # that the terms of R·Tᵀ are computed in
    runs: tuple[tuple[int, int], ...]  # first and last block
    keeps: bool  # the terms of all rows for the whole fit
    direct: bool  # sums over rows from residuals: of the terms, only densities are made

    @property
    def width(self) -> int:
        """Terms with padding: a multiple of the parts."""
        return self.parts * ceil(self.n_terms / self.parts)


def layout_of(n_samples: int, n_components: int, n_terms: int, direct: bool = False) -> Layout:
    """The layout for a shape; with `direct`, sums over rows are not of terms."""
    block, parts = LARGE_BLOCK, 1
    small = SMALL_PRODUCT // (n_components * n_terms)
    if small >= BLOCK_ROWS_MIN:
        block = min(small, BLOCK_ROWS_MAX) // TILE * TILE
        parts = 1 if direct else min(ceil(n_components * n_terms / SMALL_RESULT), n_terms)
    width = parts * ceil(n_terms / parts)
    blocks = ceil(n_samples / block)
    if blocks > RUNS_MAX:
        # As many in each run, for as many threads as there may be.
        blocks = ceil(blocks / RUNS_MAX) * RUNS_MAX
    block = ceil(n_samples / blocks)
    if blocks > 1:
        block = ceil(block / TILE) * TILE
        blocks = ceil(n_samples / block)
    batch = piece = max(1, min(BATCH_VALUES // width, BATCH_ROWS_MAX) // block)
    keeps = blocks * block * width <= KEPT_VALUES
    if direct:
        # Few calls for many rows of a component, and yet enough runs to share out.
        batch = max(1, min(DIRECT_VALUES // n_components // block, ceil(blocks / DIRECT_RUNS)))
    batches = ceil(blocks / batch)
    if batches > 1 and not direct:
        piece = batch = ceil(blocks / (ceil(batches / 4) * 4))
        batches = ceil(blocks / batch)
    runs = 1 if n_samples * n_components * (n_terms + 20) < WORTH_A_THREAD else min(RUNS_MAX, batches)
    edges = [min(batches * i // runs * batch, blocks) for i in range(runs + 1)]
    cut = tuple((edges[i], min(edges[i + 1], blocks)) for i in range(runs))
    return Layout(n_terms, n_components, block, batch, min(piece, batch), parts, cut, keeps, direct)


@dataclass
class Workspace:
    """Arrays that a run computes in."""

    T: Floats
    L: Floats
    residuals: Floats
    room: Floats
    sums: Floats
    logs: Floats
    products: Floats

    @classmethod
    def of(cls, layout: Layout, X: Floats, room: int) -> "Workspace":
        """For a batch of the layout, with terms of 1 and padding of 0."""
        batch, piece, block, k = layout.batch, layout.piece, layout.block, layout.n_components
        T = np.zeros((0 if layout.keeps else piece, layout.width, block), X.dtype)
        T[:, 0] = 1.0
        return cls(
            T,
            np.empty((batch, k, block), X.dtype),
            np.empty((piece * block, X.shape[1]), X.dtype),
            np.empty((piece, room, block), X.dtype),
            np.empty((batch, block), X.dtype),
            np.empty((batch, block), X.dtype),
            np.empty((batch, layout.parts, k, layout.width // layout.parts), X.dtype),
        )


class Workspaces(list[Workspace]):
    """Workspaces that no run is using: as many as there were ever runs at a time. Sent elsewhere, none go along."""

    def __reduce__(self) -> tuple[type["Workspaces"], tuple[()]]:
        return Workspaces, ()


@dataclass(frozen=True)
class Sums:
    """Of any rows: Σ w log Σₖ exp(hₖ·t), Σ w rₖ t (k, p), and statistics of the components computed directly."""

    log_likelihood: float
    terms: Floats
    direct: Statistics | None


def add(structure: type[Covariance], a: Sums, b: Sums) -> Sums:
    """Sums of two sets of rows together."""
    direct = None if a.direct is None or b.direct is None else combine(structure, a.direct, b.direct)
    return Sums(a.log_likelihood + b.log_likelihood, a.terms + b.terms, direct)


@dataclass(frozen=True)
class Batch:
    """Blocks that are in work together: what of them is the same in every step.

    `rows` are theirs in the run, `weight` (blocks, block), 0 for what is no row of theirs, None where all are 1; `far`,
    of the rows, those that are left out; T their terms (blocks, width, block) if they are kept.
    """

    rows: slice
    blocks: int
    weight: Floats | None
    far: Ints
    T: Floats | None


@dataclass(frozen=True)
class Run:
    """Consecutive blocks of rows, and what is prepared of them once a fit.

    X (n, d), the weights (n,), None where all are 1, and the index of the first row in the whole. `far` are indices
    of rows that are left out; `second` Σ w z zᵀ, (d, d).
    """

    X: Floats
    sample_weight: Floats | None
    start: int
    layout: Layout
    terms: Terms
    spaces: Workspaces
    far: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    batches: tuple[Batch, ...] = ()
    second: Floats | None = None

    def prepared(self) -> "Run":
        """The run with its far rows found, and its terms kept if they are to be."""
        layout, d = self.layout, self.X.shape[1]
        second = np.zeros((d, d))
        batches = []
        size = layout.batch * layout.block
        with self._workspace() as space, np.errstate(all="ignore"):
            for start in range(0, len(self.X), size):
                rows = slice(start, min(start + size, len(self.X)))
                blocks = -(-(rows.stop - start) // layout.block)
                T = None
                if layout.keeps:
                    T = np.zeros((blocks, layout.width, layout.block), self.X.dtype)
                    T[:, 0] = 1.0
                batch = Batch(rows, blocks, None, self.far, T)
                places = []
                for first, last in self._pieces(batch):
                    Z = self._terms(batch, first, last, space)[:, 1 : 1 + d]
                    near = np.einsum("bij,bij->bj", Z, Z).ravel() <= d * FAR_DEVIATIONS**2
                    places.append(np.flatnonzero(~near) + first * layout.block)
                far = np.concatenate(places)
                if T is not None:
                    self._clear(T, far)
                batch = replace(batch, far=far, weight=self._weights(rows, blocks * layout.block, far))
                batches.append(batch)
                if self.terms.shared:
                    Z = self._terms(batch, 0, blocks, space)[:, 1 : 1 + d]
                    # A product with its own transpose would be rounded in another way than one with weights.
                    weighted = Z * (1.0 if batch.weight is None else batch.weight[:, None])
                    second += (weighted @ Z.swapaxes(1, 2)).sum(axis=0, dtype=np.float64)
        far = np.concatenate([batch.far + batch.rows.start for batch in batches])
        return replace(self, far=far, batches=tuple(batches), second=second)

    def sums(self, H: Floats, direct: Direct | None) -> Sums:
        """The E-step: densities H·T, responsibilities along the components, moments R·Tᵀ (Bishop 2006, eq. 9.23)."""
        layout = self.layout
        k, parts = layout.n_components, layout.parts
        low, high = PLAIN_SUMS[self.X.dtype]
        log_likelihood = 0.0
        total = np.zeros((parts, k, layout.width // parts))
        statistics = None
        with self._workspace() as space, np.errstate(all="ignore"):
            for batch in self.batches:
                size = batch.blocks
                L, sums, logs = space.L[:size], space.sums[:size], space.logs[:size]
                T = self._densities(H, L, direct, batch, space)
                _exp(L)
                np.add.reduce(L, axis=1, out=sums)
                if low < sums.min() and sums.max() < high:
                    np.log(sums, out=logs)
                else:
                    self._densities(H, L, direct, batch, space)
                    top = L.max(axis=1)
                    L -= top[:, None]
                    _exp(L)
                    np.add.reduce(L, axis=1, out=sums)
                    np.log(sums, out=logs)
                    logs += top
                if batch.weight is None:
                    np.reciprocal(sums, out=sums)
                else:
                    logs *= batch.weight
                    np.divide(batch.weight, sums, out=sums)
                log_likelihood += float(logs.sum(dtype=np.float64))
                L *= sums[:, None]
                if not layout.direct:
                    products = space.products[:size]
                    np.matmul(L[:, None], T.reshape(size, parts, -1, layout.block).swapaxes(2, 3), out=products)
                    total += products.sum(axis=0, dtype=np.float64)
                if direct is not None:
                    part = direct.statistics(L, self.X[batch.rows])
                    statistics = part if statistics is None else combine(direct.structure, statistics, part)
        terms = total.swapaxes(0, 1).reshape(k, -1)[:, : layout.n_terms]
        return Sums(log_likelihood, terms, statistics)

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        try:
            space = self.spaces.pop()
        except IndexError:
            space = Workspace.of(self.layout, self.X, self.terms.room(self.X.shape[1]))
        yield space
        self.spaces.append(space)

    def _pieces(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """First and last block of those whose terms are in work at a time."""
        for first in range(0, batch.blocks, self.layout.piece):
            yield first, min(first + self.layout.piece, batch.blocks)

    def _densities(self, H: Floats, L: Floats, direct: Direct | None, batch: Batch, space: Workspace) -> Floats:
        """Log-densities of a batch into L, and the terms of its last piece."""
        for first, last in self._pieces(batch):
            T = batch.T[first:last] if batch.T is not None else self._terms(batch, first, last, space)
            np.matmul(H, T, out=L[first:last])
        if direct is not None:
            direct.correct(L, self.X[batch.rows], batch.far)
        return T

    def _terms(self, batch: Batch, first: int, last: int, space: Workspace) -> Floats:
        """The terms of some blocks; far rows, and what pads the last block, are at the centre."""
        block, blocks = self.layout.block, last - first
        begin = batch.rows.start + first * block
        X = self.X[begin : min(begin + blocks * block, batch.rows.stop)]
        d = X.shape[1]
        T = space.T[:blocks] if batch.T is None else batch.T[first:last]
        frame = self.terms.frame
        centre, W = frame.centre.astype(X.dtype), frame.whitener.astype(X.dtype)
        residuals = space.residuals[: blocks * block]
        if len(X) == len(residuals) and len(X) % TILE == 0:
            np.subtract(X.reshape(-1, TILE * d), np.tile(centre, TILE), out=residuals.reshape(-1, TILE * d))
        else:
            np.subtract(X, centre, out=residuals[: len(X)])
            residuals[len(X) :] = 0.0
        by_block = residuals.reshape(blocks, block, d)
        np.matmul(W.T, by_block.swapaxes(1, 2), out=T[:, 1 : 1 + d])
        self.terms.fill(T[:, : self.layout.n_terms], space.room[:blocks])
        if batch.far.size:
            far = batch.far - first * block
            self._clear(T, far[(far >= 0) & (far < blocks * block)])
        return T

    def _clear(self, T: Floats, far: Ints) -> None:
        T[far // self.layout.block, 1:, far % self.layout.block] = 0.0

    def _weights(self, rows: slice, size: int, far: Ints) -> Floats | None:
        """Weights of rows and of what pads them, by block; None where all are 1."""
        given = None if self.sample_weight is None else self.sample_weight[rows]
        n = rows.stop - rows.start
        if n == size and not far.size:
            return None if given is None else given.reshape(-1, self.layout.block)
        weight = np.zeros(size, self.X.dtype)
        weight[:n] = 1.0 if given is None else given
        weight[far] = 0.0
        return weight.reshape(-1, self.layout.block)


def _exp(L: Floats) -> None:
    """The exponential in place, 0 below the floor: results that underflow take a processor seven times as long."""
    floor = FLOOR[L.dtype]
    if L.min() < floor:
        np.clip(L, floor, np.inf, out=L)
        np.exp(L, out=L)
        L -= np.exp(L.dtype.type(floor))
    else:
        np.exp(L, out=L)


def runs_of(X: Floats, sample_weight: Floats | None, layout: Layout, terms: Terms) -> list[Run]:
    """The rows as runs that share their workspaces; each holds views, not copies."""
    spaces = Workspaces()
    runs = []
    for first, last in layout.runs:
        rows = slice(first * layout.block, min(last * layout.block, X.shape[0]))
        weight = None if sample_weight is None else sample_weight[rows].astype(X.dtype, copy=False)
        runs.append(Run(X[rows], weight, rows.start, layout, terms, spaces))
    return runs
