"""Two expectations of the Wishart distribution W(Λ | W, ν) (Bishop 2006, §B), from log |W| and ν alone."""

__all__ = ["log_normaliser", "mean_log_det"]

from math import log, pi

import numpy as np
from scipy.special import gammaln, psi

from core.types import Floats


def mean_log_det(log_det: Floats, degrees_of_freedom: Floats, n_features: int) -> Floats:
    """E[log |Λ|] = Σᵢ ψ((ν + 1 − i)/2) + d log 2 + log |W| (Bishop 2006, eq. 10.65, B.81).

    `log_det` log |W| and `degrees_of_freedom` ν > d − 1 have shapes that broadcast, and so has the result.
    """
    sums: Floats = psi(_halves(degrees_of_freedom, n_features)).sum(axis=0) + n_features * log(2) + log_det
    return sums


def log_normaliser(log_det: Floats, degrees_of_freedom: Floats, n_features: int) -> Floats:
    """log B(W, ν) (Bishop 2006, eq. B.79); shapes as for `mean_log_det`."""
    gammas = gammaln(_halves(degrees_of_freedom, n_features)).sum(axis=0)
    powers = 0.5 * n_features * log(2) * degrees_of_freedom + 0.25 * n_features * (n_features - 1) * log(pi)
    result: Floats = -0.5 * degrees_of_freedom * log_det - powers - gammas
    return result


def _halves(degrees_of_freedom: Floats, n_features: int) -> Floats:
    """(ν + 1 − i)/2 for i = 1 … d, along a new first axis."""
    nu = np.asarray(degrees_of_freedom)
    halves: Floats = 0.5 * (nu - np.arange(n_features).reshape(-1, *(1,) * nu.ndim))
    return halves
