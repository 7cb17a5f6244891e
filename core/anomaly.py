"""Thresholds for anomaly scores, from a summary of the scores of the training rows."""

__all__ = ["ScoreQuantiles"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_real
from core.errors import InvalidParameter
from core.types import Floats, Ints

# All scores are kept up to this many; beyond, the upper tail and as many evenly spaced others.
ALL = 10_000
TAIL = 5_000


@dataclass(frozen=True)
class ScoreQuantiles:
    """Order statistics of n scores: `values` (m,) ascending, and `levels` (m,), their ranks 0 … n − 1.

    A rank r stands for the quantile level r / (n − 1). The ranks are whole numbers, so that the level of any
    contamination is found among them without round-off.
    """

    levels: Ints
    values: Floats

    @classmethod
    def from_scores(cls, scores: ArrayLike) -> "ScoreQuantiles":
        """Summarises scores (n,), at least one and none NaN: exactly for n ≤ 10 000, else the top 5 000 exactly."""
        ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
        n = ordered.size
        if n == 0 or np.isnan(ordered[-1]):
            raise InvalidParameter("scores", scores, "must be at least one number, and none of them NaN")
        if n <= ALL:
            return cls(np.arange(n), ordered)
        body = np.linspace(0, n - TAIL - 1, ALL - TAIL).round().astype(np.int64)
        levels = np.concatenate([body, np.arange(n - TAIL, n)])
        return cls(levels, ordered[levels])

    def threshold(self, contamination: float) -> float:
        """The score that a fraction `contamination` in (0, 0.5] of the training rows lies above.

        It is `numpy.quantile(scores, 1 − contamination)`, linear between order statistics; between ranks that were
        not kept, linear between the nearest that were. Raises `InvalidParameter`.
        """
        if not 0 < check_real("contamination", contamination, 0.0) <= 0.5:
            raise InvalidParameter("contamination", contamination, "must be above 0 and at most 0.5")
        rank = int(self.levels[-1]) * (1 - contamination)
        below = int(np.searchsorted(self.levels, rank, side="right")) - 1
        above = min(below + 1, self.levels.size - 1)
        low, high = float(self.values[below]), float(self.values[above])
        if low == high or rank == self.levels[below]:
            return low
        if high == np.inf:
            return high
        share = (rank - int(self.levels[below])) / int(self.levels[above] - self.levels[below])
        # From the nearer end, as numpy does: the result never leaves the interval.
        return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
