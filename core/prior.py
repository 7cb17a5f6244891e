"""The prior of a Bayesian Gaussian mixture, and what stands in it when nothing was said: the rows' own moments."""

__all__ = ["Prior", "default_covariance", "given_covariance", "one_component"]

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_array, check_real
from core.concentration import Concentration
from core.covariance import Covariance
from core.covariance.base import ROUND_OFF
from core.errors import CollapsedComponent, Diverged, InvalidParameter
from core.mixture import Statistics
from core.rows import chunk_rows
from core.starts import statistics_from_labels
from core.types import Floats, MapLike


@dataclass(frozen=True)
class Prior:
    """p(π, μ, Λ) = p(π) Πₖ N(μₖ | m₀, (β₀Λₖ)⁻¹) W(Λₖ | W₀, ν₀) (Bishop 2006, eq. 10.39–10.40).

    The weights' `concentration` and its parameter α₀ or γ, `mean_precision` β₀, `mean` m₀ (d,), `degrees_of_freedom`
    ν₀ > d − 1, and `covariance`, which holds W₀⁻¹ as the covariance of one component.
    """

    concentration: type[Concentration]
    weight_concentration: float
    mean_precision: float
    mean: Floats
    degrees_of_freedom: float
    covariance: Covariance


def one_component(
    structure: type[Covariance], X: Floats, sample_weight: Floats, chunk_map: MapLike = map
) -> Statistics:
    """Statistics of all rows X (n, d) with weights (n,) together; each has shapes for k = 1."""
    chunks = chunk_rows(X, sample_weight, 1)
    return statistics_from_labels(structure, chunks, np.zeros(X.shape[0], dtype=np.int64), 1, chunk_map)


def default_covariance(structure: type[Covariance], statistics: Statistics, reg_covar: float) -> Covariance:
    """The covariance of the rows, scatter / (Σ w − 1), as `one_component` found it.

    Where that is singular (a constant feature, fewer rows than features) it is no prior, since its density has no
    normaliser; then `reg_covar` is added to the diagonal. Raises `InvalidParameter` when that is not enough, or the
    weights sum to at most 1; `Diverged` when a square overflowed.
    """
    freedom = statistics.counts - 1.0
    if not statistics.scatter.any():
        # Equal rows have no spread, however few they are.
        freedom = statistics.counts
    if not freedom > 0:
        detail = f"must be given when sample_weight sums to at most 1: the default divides by {statistics.total:g} - 1"
        raise InvalidParameter("covariance_prior", None, detail)
    with np.errstate(over="ignore", invalid="ignore"):
        noise = structure.average(freedom, structure.spread(freedom, ROUND_OFF * statistics.means), 0.0)
        plain = structure.average(freedom, statistics.scatter, 0.0)
        raised = structure.average(freedom, statistics.scatter, reg_covar)
    if not (np.isfinite(raised).all() and np.isfinite(noise).all()):
        raise Diverged("the square of a residual is above the largest float, 1.8e308: scale the data")
    shape = statistics.means.shape
    try:
        return structure(plain, structure.factor(plain, noise), *shape)
    except CollapsedComponent as singular:
        if reg_covar == 0:
            raise _no_default(singular) from singular
    try:
        return structure(raised, structure.factor(raised), *shape)
    except CollapsedComponent as singular:
        raise _no_default(singular) from singular


def _no_default(singular: CollapsedComponent) -> InvalidParameter:
    words = "must be given, or reg_covar be larger: its default, the covariance of the rows, is singular"
    return InvalidParameter("covariance_prior", None, words + singular.place)


def given_covariance(structure: type[Covariance], value: object, n_features: int) -> Covariance:
    """A given W₀⁻¹: (d, d) for full and tied, (d,) for diag, a number for spherical.

    Raises `InvalidParameter` unless it is of that shape, symmetric and positive definite.
    """
    shape = structure.shape_of_one(n_features)
    if shape:
        given = check_array("covariance_prior", cast(ArrayLike, value), shape)
    else:
        given = np.asarray(check_real("covariance_prior", value, 0.0))
    covariances = structure.symmetric("covariance_prior", given).reshape(structure.shape(1, n_features))
    try:
        return structure(covariances, structure.factor(covariances), 1, n_features)
    except CollapsedComponent as singular:
        detail = f"must be positive definite, and is not{singular.place}: {singular.variance:.3g} is left there"
        raise InvalidParameter("covariance_prior", value, detail) from singular
