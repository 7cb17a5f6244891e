"""EM's sums over rows by two matrix products: log-densities H·T, and moments R·Tᵀ, with T the terms of the rows.

Rows are taken in blocks: T holds (block, term, row), log-densities (block, component, row), so that all but the
products goes along rows, without a transposition. Runs of blocks are what is mapped over threads.
"""

__all__ = ["Run", "Sums", "add", "runs_of"]

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from core.covariance import Covariance
from core.covariance.terms import Terms
from core.layout import KEPT_VALUES, TILE, Layout
from core.mixture import Statistics, combine
from core.near import NOTHING, Direct
from core.scratch import Pool
from core.types import Floats, Ints

# A row at this many standard deviations of all rows, in the mean of its features, is computed by itself.
FAR_DEVIATIONS = 10.0

# The share of all pairs of a component and a row up to which the pairs that matter are summed by themselves.
FEW_PAIRS = 1 / 8
# Where the logarithm of the sum of a row's densities lies between these, it needs no log-sum-exp: what vanishes beside
# it is nothing.
PLAIN_SUMS = {np.dtype(np.float64): (-575.0, 690.0), np.dtype(np.float32): (-64.0, 83.0)}
# Logarithms of densities that are nothing beside any of these.
FLOOR = {np.dtype(np.float64): -700.0, np.dtype(np.float32): -85.0}


@dataclass
class Workspace:
    """Arrays that a run computes in."""

    T: Floats
    L: Floats
    residuals: Floats
    ring: Floats
    sums: Floats
    logs: Floats
    products: Floats

    @classmethod
    def of(cls, layout: Layout, X: Floats, wrapped: int) -> "Workspace":
        """For a batch of the layout, with terms of 1 and padding of 0."""
        batch, piece, block, k = layout.batch, layout.piece, layout.block, layout.n_components
        T = np.zeros((0 if layout.keeps else piece, layout.width, block), X.dtype)
        T[:, 0] = 1.0
        return cls(
            T,
            np.empty((batch, k, block), X.dtype),
            np.empty((piece * block, X.shape[1]), X.dtype),
            np.empty((piece, wrapped, block), X.dtype),
            np.empty((batch, block), X.dtype),
            np.empty((batch, block), X.dtype),
            np.empty((piece, layout.parts, k, layout.width // layout.parts), X.dtype),
        )


@dataclass(frozen=True)
class Sums:
    """Of any rows: Σ w log Σₖ exp(hₖ·t), Σ w rₖ t (k, p) of those whose terms are summed, and statistics of the others.

    Of components that are computed directly these are of all rows.
    """

    log_likelihood: float
    terms: Floats
    direct: Statistics | None


def add(structure: type[Covariance], a: Sums, b: Sums) -> Sums:
    """Sums of two sets of rows together."""
    direct = combine(structure, a.direct, b.direct) if a.direct and b.direct else a.direct or b.direct
    return Sums(a.log_likelihood + b.log_likelihood, a.terms + b.terms, direct)


@dataclass(frozen=True)
class Batch:
    """Blocks that are in work together: what of them is the same in every step.

    `rows` are theirs in the run, `weight` (blocks, block), 0 for what is no row of theirs, None where all are 1; `far`,
    of the rows, those that are left out. T are their terms (blocks, width, block) if they are kept, and `ring` if it is
    kept what they are made of.
    """

    rows: slice
    blocks: int
    weight: Floats | None
    far: Ints
    T: Floats | None
    ring: Floats | None


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
    spaces: Pool[Workspace]
    far: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    batches: tuple[Batch, ...] = ()
    second: Floats | None = None

    def prepared(self) -> "Run":
        """The run with its far rows found, and its terms kept if they are to be."""
        layout, d = self.layout, self.X.shape[1]
        second = np.zeros((d, d))
        keeps_ring = not layout.keeps and 0 < layout.runs[-1][1] * layout.block * self.terms.wrapped(d) <= KEPT_VALUES
        batches = []
        size = layout.batch * layout.block
        with self.spaces.borrowed(self._workspace) as space, np.errstate(all="ignore"):
            for start in range(0, len(self.X), size):
                rows = slice(start, min(start + size, len(self.X)))
                blocks = -(-(rows.stop - start) // layout.block)
                T = None
                if layout.keeps:
                    T = np.zeros((blocks, layout.width, layout.block), self.X.dtype)
                    T[:, 0] = 1.0
                batch = Batch(rows, blocks, None, self.far, T, None)
                ring = np.empty((blocks, self.terms.wrapped(d), layout.block), self.X.dtype) if keeps_ring else None
                places = []
                for first, last in self._pieces(batch):
                    Z = self._terms(batch, first, last, space)[:, 1 : 1 + d]
                    if ring is not None:
                        ring[first:last] = space.ring[: last - first]
                    near = np.einsum("bij,bij->bj", Z, Z).ravel() <= d * FAR_DEVIATIONS**2
                    places.append(np.flatnonzero(~near) + first * layout.block)
                far = np.concatenate(places)
                for kept, begin in ((T, 1), (ring, 0)):
                    if kept is not None:
                        # Far rows are at the centre, where nothing overflows.
                        kept[far // layout.block, begin:, far % layout.block] = 0.0
                weight = self._weights(rows, blocks * layout.block, far)
                batch = replace(batch, far=far, weight=weight, ring=ring)
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
        with self.spaces.borrowed(self._workspace) as space, np.errstate(all="ignore"):
            for batch in self.batches:
                size = batch.blocks
                L, sums, logs = space.L[:size], space.sums[:size], space.logs[:size]
                T = self._densities(H, L, direct, batch, space)
                _exp(L)
                np.add.reduce(L, axis=1, out=sums)
                np.log(sums, out=logs)
                if not (low < logs.min() and logs.max() < high):
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
                # Few pairs of a component and a row of which it has anything cost less by residuals.
                few = layout.direct and bool(np.count_nonzero(L > NOTHING) <= FEW_PAIRS * L.size)
                if not few:
                    for first, last in self._pieces(batch):
                        if size > layout.piece:
                            T = self._terms(batch, first, last, space)
                        products = space.products[: last - first]
                        by_parts = T.reshape(last - first, parts, -1, layout.block).swapaxes(2, 3)
                        np.matmul(L[first:last, None], by_parts, out=products)
                        total += products.sum(axis=0, dtype=np.float64)
                if direct is not None and (few or direct.components.size):
                    part = direct.statistics(L, self.X[batch.rows], few)
                    statistics = part if statistics is None else combine(direct.structure, statistics, part)
        terms = total.swapaxes(0, 1).reshape(k, -1)[:, : layout.n_terms]
        return Sums(log_likelihood, terms, statistics)

    def _workspace(self) -> Workspace:
        return Workspace.of(self.layout, self.X, self.terms.wrapped(self.X.shape[1]))

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
        block, blocks, d = self.layout.block, last - first, self.X.shape[1]
        T = space.T[:blocks] if batch.T is None else batch.T[first:last]
        if batch.ring is not None:
            ring = batch.ring[first:last]
            T[:, 1 : 1 + d] = ring[:, :d]
            self.terms.fill(T[:, : self.layout.n_terms], ring)
            return T
        begin = batch.rows.start + first * block
        X = self.X[begin : min(begin + blocks * block, batch.rows.stop)]
        centre, W = self._frame
        residuals = space.residuals[: blocks * block]
        if len(X) == len(residuals) and len(X) % TILE == 0:
            np.subtract(X.reshape(-1, TILE * d), centre, out=residuals.reshape(-1, TILE * d))
        else:
            np.subtract(X, centre[:d], out=residuals[: len(X)])
            residuals[len(X) :] = 0.0
        np.matmul(W.T, residuals.reshape(blocks, block, d).swapaxes(1, 2), out=T[:, 1 : 1 + d])
        far = batch.far - first * block
        far = far[(far >= 0) & (far < blocks * block)]
        T[far // block, 1 : 1 + d, far % block] = 0.0
        ring = space.ring[:blocks]
        self.terms.wrap(T, ring)
        self.terms.fill(T[:, : self.layout.n_terms], ring)
        return T

    @cached_property
    def _frame(self) -> tuple[Floats, Floats]:
        """The frame's centre, repeated as often as rows are centred at a time, and W."""
        frame = self.terms.frame
        return np.tile(frame.centre.astype(self.X.dtype), TILE), frame.whitener.astype(self.X.dtype)

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
        L.clip(floor, np.inf, out=L)
        np.exp(L, out=L)
        L -= np.exp(L.dtype.type(floor))
    else:
        np.exp(L, out=L)


def runs_of(X: Floats, sample_weight: Floats | None, layout: Layout, terms: Terms) -> list[Run]:
    """The rows as runs that share their workspaces; each holds views, not copies."""
    spaces = Pool[Workspace]()
    runs = []
    for first, last in layout.runs:
        rows = slice(first * layout.block, min(last * layout.block, X.shape[0]))
        weight = None if sample_weight is None else sample_weight[rows].astype(X.dtype, copy=False)
        runs.append(Run(X[rows], weight, rows.start, layout, terms, spaces))
    return runs
