"""Components and the rows near them: what two products do not tell well enough, from residuals of the rows that matter.

Almost all responsibilities of components that lie apart are nothing, and need not be known well. A log-density is
computed again where it is not far below another one's, and statistics are summed over the rows of which a component has
more than nothing (`docs/numerics.md` has the bounds).
"""

__all__ = ["NOTHING", "Direct"]

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.covariance import Covariance
from core.densities import LogDensities
from core.mixture import Statistics, combine, statistics_of_groups
from core.types import Floats, Ints

# Beyond what its products may be wrong by, a log-density is computed again unless it is this far below another one. A
# responsibility up to its exponential is nothing.
REACH, NOTHING = 50.0, 2e-22
# How many units of round-off products lose: 14 were seen. A row whose largest log-density is t, and which matters to a
# component, is √(2 (50 − t)) of its deviations away: it loses at most 2 (1 + 2 (50 − t)) times what a typical one does.
UNITS, LOSS, LOSS_BELOW = 16.0, 202.0, 4.0
# Where the largest log-density of a row falls by more than this when it is computed again, it may have hidden others.
FALL = 1.0
# Pairs of a component and a row near it that are in work at a time, for each row: what is copied of the rows.
PAIRS = 4


@dataclass(frozen=True)
class Direct:
    """What is computed from residuals in a step.

    Of the `densities`, the largest of which are about 0, those of the components `vague` (v,) for rows within their
    `reach` (v,), and the further the lower all densities of a row are, by `slope` (v,); and the statistics of
    `components` (c,) at least, of rows of which a component has more than `least` (k,). Both are indices in order.
    """

    densities: LogDensities
    components: Ints
    least: Floats
    vague: Ints
    reach: Floats
    slope: Floats

    @classmethod
    def of(
        cls, densities: LogDensities, error: Floats, components: Ints, vague: Ints, everywhere: NDArray[np.bool_]
    ) -> Self:
        """With the `error` (k,) of a log-density by products for a typical row of each component.

        Those `everywhere` (k,) are computed for all rows, however little they have of them.
        """
        least = np.where(everywhere, 0.0, NOTHING)
        everywhere = everywhere | ~np.isfinite(error)
        # Both densities that are compared may be wrong.
        reach = np.where(everywhere, np.inf, REACH + 2 * UNITS * LOSS * error)
        slope = np.where(everywhere, 0.0, 2 * UNITS * LOSS_BELOW * error)
        return cls(densities, components, least, vague, reach[vague], slope[vague])

    @property
    def structure(self) -> type[Covariance]:
        """The covariances' structure."""
        return type(self.densities.covariance)

    def correct(self, L: Floats, X: Floats, far: Ints) -> None:
        """Puts log-densities from residuals into L (blocks, k, block), for rows X (m, d) but the `far` ones."""
        if not self.vague.size:
            return
        top = L.max(axis=1)
        for left_out in (far, slice(len(X), None)):
            top.reshape(-1)[left_out] = np.inf
        limit = top[:, None] + self.slope[:, None] * np.minimum(top, 0.0)[:, None] - self.reach[:, None]
        self._recompute(L, X, L[:, self.vague] >= limit)
        fell = (L.max(axis=1) < top - FALL) & (top < np.inf)
        if fell.any():
            self._recompute(L, X, np.repeat(fell[:, None], len(self.vague), axis=1))

    def _recompute(self, L: Floats, X: Floats, where: NDArray[np.bool_]) -> None:
        offsets, means = self.densities.offsets, self.densities.means
        for pairs in _pairs(where, len(X)):
            components = self.vague[pairs.components]
            residuals = X[pairs.rows] - means[components]
            for component, part in pairs.parts:
                residuals[part] = self.densities.covariance.whiten(int(self.vague[component]), residuals[part])
            squares = np.einsum("ij,ij->i", residuals, residuals)
            L[pairs.blocks, components, pairs.places] = offsets[components] - 0.5 * squares

    def statistics(self, R: Floats, X: Floats, of_all: bool) -> Statistics:
        """Statistics under responsibilities R (blocks, k, block) for rows X (m, d): of its components, or `of_all`.

        The others have a count of 0.
        """
        least = self.least
        if not of_all:
            least = np.full_like(least, np.inf)
            least[self.components] = self.least[self.components]
        # About the mean that each component had: its rows are near to it, and lose nothing.
        means = self.densities.means
        parts = []
        limits = least[:, None].astype(R.dtype)
        for pairs in _pairs(limits < R, len(X)):
            resp = R[pairs.blocks, pairs.components, pairs.places].astype(np.float64)
            parts.append(
                statistics_of_groups(self.structure, X[pairs.rows], resp, pairs.components, pairs.parts, means)
            )
        return reduce(partial(combine, self.structure), parts)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a component and a row, in the order of the components: the row's index, block, and place in it (q,).

    `parts` are the components that have pairs, and which these are.
    """

    components: Ints
    blocks: Ints
    places: Ints
    rows: Ints
    parts: list[tuple[int, slice]]


def _pairs(where: NDArray[np.bool_], n_rows: int) -> Iterator[_Pairs]:
    """The pairs where (blocks, components, block) is true, of some components at a time where there are many."""
    width, size = where.shape[1:]
    total = np.count_nonzero(where)
    together = max(1, min(width, PAIRS * n_rows * width // max(total, 1)))
    for first in range(0, width, together):
        chosen = where[:, first : first + together].swapaxes(0, 1)
        flat = np.flatnonzero(np.ascontiguousarray(chosen))
        edges = np.searchsorted(flat, np.arange(len(chosen) + 1) * len(where) * size)
        components = np.repeat(np.arange(first, first + len(chosen)), np.diff(edges))
        rows = flat - (components - first) * (len(where) * size)
        spans = enumerate(pairwise(edges.tolist()), first)
        parts = [(component, slice(begin, end)) for component, (begin, end) in spans if end > begin]
        yield _Pairs(components, rows // size, rows % size, rows, parts)
