"""The E-step over all rows of a fit: by two matrix products where that is exact enough, else from residuals."""

__all__ = ["Expectation"]

from dataclasses import dataclass
from functools import partial, reduce
from math import inf, isfinite
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.covariance import Covariance
from core.covariance.frame import Frame
from core.covariance.terms import Terms
from core.densities import LogDensities
from core.layout import layout_of
from core.linalg import power_of_two
from core.mixture import Statistics, combine, e_step
from core.natural import Run, Sums, add, runs_of
from core.near import Direct
from core.rows import Chunk, chunk_rows, map_in_order, map_reduce, one_blas_thread
from core.types import Floats, MapLike

# What a log-density may lose, in units of round-off: 1.2e-10 in doubles, 1.2e-4 in floats of 32 bits. Half of it is for
# the change that a step makes.
LOSS_MAX = {np.dtype(np.float64): 2.0**20, np.dtype(np.float32): 2.0**11}
# A scatter may lose this much less than a log-density: what it loses is measured in its thinnest direction, and moves
# the next step's densities by so much of themselves.
SCATTER_SHARE = 4.0
# From so many terms on sums are of residuals, of the rows of which a component has more than nothing, if these are few:
# fewer operations. In 32 bits products of terms lose too much where components lie apart.
DIRECT_TERMS = {np.dtype(np.float64): 1000, np.dtype(np.float32): 100}
# A component that has no more than this share of the rows may owe as much to those that it has next to nothing of.
FAINT = 1e-9
# Rows that the frame is taken from, evenly spaced, and the largest share of far rows that it may leave out.
FRAME_ROWS = 4096
FAR_SHARE_MAX = 1 / 16
# Terms beyond which a row's are too many to be held at all.
TERMS_MAX = 2**14


class Expectation:
    """Statistics of the rows of a fit under any log-densities: what it asks of the rows is prepared once.

    X (n, d), weights (n,). Only shares of the weight matter: they count in units of a power of two near the
    largest, so that their sums neither overflow nor vanish. `floor` is what an M-step will add to the diagonal of
    the covariances.
    """

    def __init__(
        self,
        X: Floats,
        sample_weight: Floats,
        n_components: int,
        structure: type[Covariance],
        chunk_map: MapLike = map,
        floor: float = 0.0,
    ) -> None:
        unit = power_of_two(float(sample_weight.max()))
        weight = sample_weight if unit == 1 else sample_weight / unit
        self.chunks = chunk_rows(X, weight, n_components)
        self._X, self._weight, self._n_components = X, weight, n_components
        self._structure, self._chunk_map, self._floor = structure, chunk_map, floor
        self._fast: _Products | None = None
        self._prepared = False

    def __call__(self, densities: LogDensities) -> Statistics:
        """Statistics of all rows under the responsibilities that the densities give them (Bishop 2006, eq. 9.23)."""
        with one_blas_thread():
            if not self._prepared:
                self._fast = _Products.of(
                    self._X, self._weight, self._n_components, self._structure, self._chunk_map, self._floor
                )
                self._prepared = True
            statistics = None if self._fast is None else self._fast.statistics(densities)
            return self._from_residuals(densities) if statistics is None else statistics

    def _from_residuals(self, densities: LogDensities) -> Statistics:
        total: Statistics = map_reduce(
            partial(e_step, densities), self.chunks, partial(combine, self._structure), self._chunk_map
        )
        return total


@dataclass(frozen=True)
class _Products:
    """The E-step by H·T and R·Tᵀ, with the components and rows that need it computed from residuals."""

    runs: list[Run]
    terms: Terms
    structure: type[Covariance]
    second: Floats
    far: list[Chunk]
    chunk_map: MapLike
    floor: float
    loss_max: float

    @classmethod
    def of(
        cls,
        X: Floats,
        sample_weight: Floats,
        n_components: int,
        structure: type[Covariance],
        chunk_map: MapLike,
        floor: float,
    ) -> Self | None:
        """Prepared for rows; None where it would not pay, or has no frame to work in."""
        n, d = X.shape
        n_terms = structure.terms.count(d)
        if n_terms > TERMS_MAX or not _pays(n_components, d, n_terms):
            return None
        frame = _frame(X, structure.terms)
        if frame is None:
            return None
        terms = structure.terms(frame)
        uniform = bool(sample_weight.min() == sample_weight.max() == 1)
        direct = not terms.shared and n_terms >= DIRECT_TERMS[X.dtype]
        layout = layout_of(n, n_components, n_terms, direct)
        raw = runs_of(X, None if uniform else sample_weight, layout, terms)
        runs = map_in_order(Run.prepared, raw, chunk_map)
        far = np.concatenate([run.far + run.start for run in runs])
        if len(far) > n * FAR_SHARE_MAX:
            return None
        second: Floats = reduce(np.add, [run.second for run in runs if run.second is not None])
        chunks = chunk_rows(X[far], sample_weight[far], n_components) if len(far) else []
        return cls(runs, terms, structure, second, chunks, chunk_map, floor, LOSS_MAX[X.dtype])

    def statistics(self, densities: LogDensities) -> Statistics | None:
        """Statistics of all rows, or None where too much would be lost.

        A component whose parameters lose too much is computed directly. What its update loses is only known at the
        end: where that is too much, or where next to nothing is left of it, the step is made again.
        """
        with np.errstate(all="ignore"):
            # The largest log-densities become about 0: their sums then need no log-sum-exp.
            shift = float(densities.offsets.max())
            shifted = LogDensities(densities.offsets - shift, densities.means, densities.covariance)
            known = self.terms.coefficients(shifted.offsets, shifted.means, shifted.covariance, self.second)
            vague = ~(known.lost <= self.loss_max / 2)
            direct = vague | ~(known.scatter_lost <= self.loss_max / 2 / SCATTER_SHARE)
            everywhere = np.zeros(len(vague), bool)
            while True:
                chosen = None
                if np.count_nonzero(direct) or self.runs[0].layout.direct:
                    if self.terms.shared:
                        return None
                    chosen = self._direct(shifted, known.lost, direct, vague, everywhere)
                sums = self._sums(known.H, chosen)
                # A sum of terms that is not finite loses all.
                if not isfinite(sums.log_likelihood):
                    return None
                statistics, lost = self._together(sums, direct)
                if chosen is not None:
                    if not (np.isfinite(statistics.means).all() and np.isfinite(statistics.scatter).all()):
                        return None
                    faint = statistics.counts <= FAINT * statistics.total
                    faint &= (direct | self.runs[0].layout.direct) & ~everywhere & (densities.offsets > -inf)
                    everywhere |= faint
                    lost |= faint
                if not np.count_nonzero(lost):
                    break
                direct |= lost
            log_likelihood = sums.log_likelihood + shift * statistics.total + known.common
            statistics = Statistics(
                log_likelihood, statistics.total, statistics.counts, statistics.means, statistics.scatter
            )
        for chunk in self.far:
            statistics = combine(self.structure, statistics, e_step(densities, chunk))
        return statistics

    def _direct(
        self,
        densities: LogDensities,
        lost: Floats,
        direct: NDArray[np.bool_],
        vague: NDArray[np.bool_],
        everywhere: NDArray[np.bool_],
    ) -> Direct:
        error = lost * np.finfo(self.runs[0].X.dtype).eps
        return Direct.of(densities, error, np.flatnonzero(direct), np.flatnonzero(vague), everywhere)

    def _sums(self, H: Floats, direct: Direct | None) -> Sums:
        layout, dtype = self.runs[0].layout, self.runs[0].X.dtype
        if layout.width > layout.n_terms or dtype != H.dtype:
            padded = np.zeros((len(H), layout.width), dtype)
            padded[:, : layout.n_terms] = H
            H = padded
        if len(self.runs) == 1:
            return self.runs[0].sums(H, direct)
        parts = map_in_order(partial(Run.sums, H=H, direct=direct), self.runs, self.chunk_map)
        return reduce(partial(add, self.structure), parts)

    def _together(self, sums: Sums, direct: NDArray[np.bool_]) -> tuple[Statistics, NDArray[np.bool_]]:
        """Statistics of all components, but for the log-likelihood, and of which of the others too much is lost."""
        lost = np.zeros(len(direct), bool)
        if sums.direct is not None and not sums.terms.any():
            return sums.direct, lost
        found = self.terms.moments(sums.terms, self.second, self.floor)
        counts, means, scatter = sums.terms[:, 0], found.means, found.scatter
        lost = ~(found.lost <= self.loss_max / SCATTER_SHARE) & ~direct
        if sums.direct is not None:
            counts, means, scatter = counts.copy(), means.copy(), scatter.copy()
            counts[direct], means[direct], scatter[direct] = 0.0, sums.direct.means[direct], 0.0
            summed = Statistics(0.0, float(counts.sum()), counts, means, scatter)
            return combine(self.structure, summed, sums.direct), lost
        return Statistics(0.0, float(counts.sum()), counts, means, scatter), lost


def _pays(n_components: int, n_features: int, n_terms: int) -> bool:
    """Whether two products of all terms cost less than residuals of each component: nanoseconds a row.

    To make a term costs about as much as seven components' use of it; residuals cost their passes, and two products.
    """
    by_terms = n_terms * (0.6 + 0.09 * n_components)
    by_residuals = n_components * (3.0 * n_features + 0.08 * n_features**2)
    return by_terms < by_residuals or n_terms <= 2 * n_features + 1


def _frame(X: Floats, terms: type[Terms]) -> Frame | None:
    """The frame of a sample of the rows, about whose mean they are white; None where that overflows.

    Any frame would be right; a good one loses little.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rows = X[:: max(1, X.shape[0] // FRAME_ROWS)].astype(np.float64)
        # The mean about a row is exact where all rows are equal. As a number of the rows' own kind it is subtracted
        # without another rounding.
        centre = (rows[0] + (rows - rows[0]).mean(axis=0)).astype(X.dtype).astype(np.float64)
        residuals = rows - centre
        covariance = residuals.T @ residuals / len(rows)
        if not np.isfinite(covariance).all():
            return None
        whitener, colour = terms.whitening(covariance)
        if not (np.isfinite(whitener).all() and np.isfinite(colour).all()):
            return None
    return Frame(centre, whitener, colour)
