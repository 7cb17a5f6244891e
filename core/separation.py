"""How far clusters lie apart for their width: Caliński–Harabasz and Davies–Bouldin."""

__all__ = ["calinski_harabasz_score", "davies_bouldin_score"]

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from core.checks import check_labels, check_rows, check_sample_weight
from core.errors import InvalidParameter, InvalidRows
from core.kmeans import frame
from core.linalg import power_of_two
from core.types import Floats, Ints


def calinski_harabasz_score(X: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Scatter between the clusters over that within them, (B / (k − 1)) / (W / (n − k)); higher is better.

    B = Σₖ nₖ ‖cₖ − c‖² and W = Σᵢ ‖xᵢ − c‖² about the mean of the row's cluster (Caliński & Harabasz 1974, eq. 3). With
    `sample_weight` (n,) rows count as often as they weigh: n is their sum, which must exceed k. Infinite where W is 0
    (scikit-learn says 1). Raises `InvalidParameter` unless there are from 2 to n − 1 labels, `InvalidRows` where all
    rows are equal.
    """
    clusters = _clusters(X, labels, sample_weight)
    k = clusters.weights.size
    degrees = float(clusters.weights.sum() * clusters.unit) - k
    if degrees <= 0:
        total = float(clusters.weights.sum() * clusters.unit)
        words = f"must sum to more than the number of clusters, {k}: they count like repeated rows"
        raise InvalidParameter("sample_weight", total, words)
    center = clusters.weights @ clusters.centers / clusters.weights.sum()
    between = float(clusters.weights @ np.square(clusters.centers - center).sum(axis=1))
    within = float(clusters.sample_weight @ np.square(clusters.residuals).sum(axis=1))
    return inf if within == 0 else between / within * degrees / (k - 1)


def davies_bouldin_score(X: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean over the clusters of the worst (sᵢ + sⱼ) / ‖cᵢ − cⱼ‖, s the mean distance to the centre; lower is better.

    Davies & Bouldin (1979), with p = 2 and q = 1. `sample_weight` (n,) weighs the rows in both means; only ratios
    matter. Infinite where two clusters share a centre (scikit-learn leaves such pairs out). Raises
    `InvalidParameter` unless there are from 2 to n − 1 labels, `InvalidRows` where all rows are equal.
    """
    clusters = _clusters(X, labels, sample_weight)
    lengths = clusters.sample_weight * np.sqrt(np.square(clusters.residuals).sum(axis=1))
    widths = np.add.reduceat(lengths, clusters.starts) / clusters.weights
    apart = cdist(clusters.centers, clusters.centers)
    np.fill_diagonal(apart, inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (widths[:, None] + widths) / apart
    ratios[apart == 0] = inf
    return float(ratios.max(axis=1).mean())


@dataclass(frozen=True)
class _Clusters:
    """Rows by cluster, in units near their spread about an origin in their midst, neither of which matters here.

    `centers` (k, d), `residuals` (n, d) of the rows from theirs, with `sample_weight` (n,), each cluster's from its
    index in `starts` on; their sums `weights` (k,). Weights are in units of `unit`.
    """

    centers: Floats
    residuals: Floats
    sample_weight: Floats
    starts: Ints
    weights: Floats
    unit: float


def _clusters(X: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None) -> _Clusters:
    rows = check_rows(X)
    weight = check_sample_weight(sample_weight, rows.shape[0])
    counted = weight > 0
    codes = check_labels("labels", labels, rows.shape[0])[counted]
    n_samples = codes.size
    names, starts = np.unique(np.sort(codes), return_index=True)
    if not 2 <= names.size < n_samples:
        raise InvalidParameter("labels", labels, f"must name from 2 to {n_samples - 1} clusters, not {names.size}")
    order = np.argsort(codes, kind="stable")
    unit = power_of_two(float(weight.max()))
    ordered, mass = rows[counted][order], weight[counted][order] / unit
    offset, scale = frame(ordered)
    Z = (ordered.astype(np.float64) - offset) / scale
    if not np.ptp(Z, axis=0).any():
        raise InvalidRows("all rows are equal: no cluster lies apart from another")
    weights = np.add.reduceat(mass, starts)
    sizes = np.diff([*starts, n_samples])
    # Means are taken about a row of the cluster: equal rows have residuals of 0, and far clusters lose no digits.
    centers = Z[starts]
    residuals = Z - np.repeat(centers, sizes, axis=0)
    shift = np.add.reduceat(mass[:, None] * residuals, starts) / weights[:, None]
    return _Clusters(centers + shift, residuals - np.repeat(shift, sizes, axis=0), mass, starts, weights, unit)
