"""The E-step over all rows of a fit."""

__all__ = ["Expectation"]

from functools import partial

from core.covariance import Covariance
from core.densities import LogDensities
from core.linalg import power_of_two
from core.mixture import Statistics, combine, e_step
from core.rows import chunk_rows, map_reduce
from core.types import Floats, MapLike


class Expectation:
    """Statistics of the rows of a fit under any log-densities: what it asks of the rows is prepared once.

    X (n, d), weights (n,). Only shares of the weight matter: they count in units of a power of two near the
    largest, so that their sums neither overflow nor vanish.
    """

    def __init__(
        self,
        X: Floats,
        sample_weight: Floats,
        n_components: int,
        structure: type[Covariance],
        chunk_map: MapLike = map,
    ) -> None:
        weight = sample_weight / power_of_two(float(sample_weight.max()))
        self.chunks = chunk_rows(X, weight, n_components)
        self._structure = structure
        self._chunk_map = chunk_map

    def __call__(self, densities: LogDensities) -> Statistics:
        """Statistics of all rows under the responsibilities that the densities give them (Bishop 2006, eq. 9.23)."""
        total: Statistics = map_reduce(
            partial(e_step, densities), self.chunks, partial(combine, self._structure), self._chunk_map
        )
        return total
