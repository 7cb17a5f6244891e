"""Which component owns a row so far away that its squared distances tell nothing."""

__all__ = ["far_log_responsibilities"]

import numpy as np

from core.covariance import Covariance
from core.types import Floats


def far_log_responsibilities(X: Floats, means: Floats, covariance: Covariance, log_offsets: Floats) -> Floats:
    """Log-responsibilities (n, k) of rows whose every ‖zₖ‖² is huge or infinite; each row's exp sums to 1.

    `log_offsets` (k,) is log weight + log det P. Two squares that are infinite, or equal in all their digits, tell
    nothing, but their difference factors: ‖zₖ‖² − ‖zⱼ‖² = (zₖ − zⱼ)·(zₖ + zⱼ), with z = W(x) − W(μ) for the linear
    map W of a component. The first factor is formed as (Wₖ(x) − Wⱼ(x)) − (Wₖ(μₖ) − Wⱼ(μⱼ)), where a shared W
    cancels exactly. Rows and means are taken about the first mean, so that an offset cancels too, and rows are
    divided by their size until the last multiplication. The best component is found by a tournament, and the
    others are compared with it.
    """
    n_samples, n_components = X.shape[0], means.shape[0]
    rows = np.arange(n_samples)
    origin = means[0]
    # A power of two, by which a division is exact.
    _, exponent = np.frexp(np.maximum(np.abs(X).max(axis=1), np.abs(means).max()))
    size = np.ldexp(1.0, exponent - 1)[:, None]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        white_x = np.stack([covariance.whiten(k, X / size - origin / size) for k in range(n_components)])
        white_means = np.stack([covariance.whiten(k, (mean - origin)[None, :])[0] for k, mean in enumerate(means)])
        z = white_x - white_means[:, None, :] / size

        def gap(component: int, other: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
            """log r of the component minus log r of the other one (an index a row)."""
            difference = (white_x[component] - white_x[other, rows]) - (
                white_means[component] - white_means[other]
            ) / size
            top = np.abs(difference).max(axis=1)
            unit = difference / np.where(top > 0, top, 1.0)[:, None]
            cosine = np.einsum("ij,ij->i", z[component] + z[other, rows], unit)
            squares = (cosine * size[:, 0]) * (top * size[:, 0])
            if np.isneginf(log_offsets[component]):
                return np.full(n_samples, -np.inf)
            result: Floats = -0.5 * squares + (log_offsets[component] - log_offsets[other])
            return result

        best = np.full(n_samples, int(np.argmax(log_offsets)))
        for component in range(n_components):
            best = np.where(gap(component, best) > 0, component, best)
        gaps = np.stack([gap(component, best) for component in range(n_components)], axis=1)
        # Round-off may let a loser of the tournament stand above the winner by a hair, or be undecided.
        gaps = np.minimum(np.nan_to_num(gaps, nan=-np.inf, neginf=-np.inf), 0.0)
        gaps[rows, best] = 0.0
        result: Floats = gaps - np.log(np.exp(gaps).sum(axis=1, keepdims=True))
    return result
