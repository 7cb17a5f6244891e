"""The frame that the terms of rows are taken in: about a mean of theirs, and white for them."""

__all__ = ["Frame", "deviations", "triangles"]

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from core.linalg import TINY
from core.types import Floats

# Added to a correlation matrix without a Cholesky factor: what is left of its null directions in the frame.
JITTER = 1e-10


@dataclass(frozen=True)
class Frame:
    """z = (x − centre) W and x = centre + z V, V = W⁻¹: centre (d,), `whitener` W and `colour` V (d, d) triangles."""

    centre: Floats
    whitener: Floats
    colour: Floats


def deviations(covariance: Floats) -> Floats:
    """Standard deviations (d,); 1 for a feature that has none."""
    variances = np.diagonal(covariance)
    return np.sqrt(np.where(variances > TINY, variances, 1.0))


def triangles(covariance: Floats) -> tuple[Floats, Floats]:
    """W and V of a covariance: V Vᵀ… its Cholesky factor's transpose, W the inverse; jittered where it has none."""
    units = deviations(covariance)
    correlation = covariance / units[:, None] / units
    np.fill_diagonal(correlation, 1.0)
    lower, info = lapack.dpotrf(correlation, lower=1, clean=1)
    if info > 0 or (np.diagonal(lower) ** 2 < JITTER).any():
        lower, _ = lapack.dpotrf(correlation + JITTER * np.eye(len(correlation)) * len(correlation), lower=1, clean=1)
    inverse, _ = lapack.dtrtri(lower, lower=1)
    return np.ascontiguousarray(np.tril(inverse).T / units[:, None]), np.ascontiguousarray(lower.T * units)
