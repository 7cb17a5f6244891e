"""The algorithms that can be fitted: for each, its estimator and how its results are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.errors import InvalidRequest
from core import GaussianMixture, KMeans, MiniBatchKMeans
from core.kmeans import Centroids
from core.metrics import aic, bic
from core.mixture import Mixture
from core.types import Floats

Estimator = GaussianMixture | KMeans
Fitted = Mixture | Centroids


@dataclass(frozen=True)
class Algorithm:
    """`count` is the parameter that says how many groups; `objective` what a fit's progress shows.

    `scores` and `metrics` take the rows after preprocessing, and its log-determinant.
    """

    name: str
    estimator: Callable[..., Any]
    count: str
    objective: str
    supervised: bool
    fitted: Callable[[Any], Fitted]
    scores: Callable[[Any, Floats, float], Floats]
    metrics: Callable[[Any, Floats, float, Floats | None], dict[str, Any]]


def _mixture_scores(mixture: Mixture, Z: Floats, log_abs_det: float) -> Floats:
    # A density in original features: a change of units moves every log density by the same amount.
    return -(mixture.score_samples(Z) + log_abs_det)


def _mixture_metrics(
    estimator: GaussianMixture, Z: Floats, log_abs_det: float, sample_weight: Floats | None
) -> dict[str, Any]:
    mixture = estimator.mixture_
    log_density = mixture.score_samples(Z) + log_abs_det
    n_samples = float(len(Z) if sample_weight is None else sample_weight.sum())
    if sample_weight is not None:
        counted = sample_weight > 0  # 0 · −∞ is no number
        log_density = sample_weight[counted] * log_density[counted]
    log_likelihood = float(log_density.sum())
    return {
        "log_likelihood": log_likelihood,
        "mean_log_likelihood": log_likelihood / n_samples,
        "aic": aic(log_likelihood, mixture.n_parameters),
        "bic": bic(log_likelihood, mixture.n_parameters, n_samples),
        "n_parameters": mixture.n_parameters,
        "n_iter": int(estimator.n_iter_),
        "converged": bool(estimator.converged_),
        # In original features, like the log-likelihood they climb to.
        "lower_bounds": [float(bound) + log_abs_det for bound in estimator.lower_bounds_],
        "weights": mixture.weights.tolist(),
    }


def _centroid_scores(centroids: Centroids, Z: Floats, log_abs_det: float) -> Floats:
    return centroids.nearest(Z)[1]


def _kmeans_metrics(estimator: KMeans, Z: Floats, log_abs_det: float, sample_weight: Floats | None) -> dict[str, Any]:
    sizes = np.bincount(estimator.labels_, minlength=estimator.centroids_.n_clusters)
    return {
        "inertia": float(estimator.inertia_),
        "n_iter": int(estimator.n_iter_),
        "converged": bool(estimator.converged_),
        "inertias": [float(inertia) for inertia in estimator.inertias_],
        "sizes": sizes.tolist(),
    }


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            name="gaussian_mixture",
            estimator=GaussianMixture,
            count="n_components",
            objective="lower_bound",
            supervised=True,
            fitted=lambda estimator: estimator.mixture_,
            scores=_mixture_scores,
            metrics=_mixture_metrics,
        ),
        Algorithm(
            name="kmeans",
            estimator=KMeans,
            count="n_clusters",
            objective="inertia",
            supervised=False,
            fitted=lambda estimator: estimator.centroids_,
            scores=_centroid_scores,
            metrics=_kmeans_metrics,
        ),
        Algorithm(
            name="minibatch_kmeans",
            estimator=MiniBatchKMeans,
            count="n_clusters",
            objective="inertia",
            supervised=False,
            fitted=lambda estimator: estimator.centroids_,
            scores=_centroid_scores,
            metrics=_kmeans_metrics,
        ),
    )
}


def algorithm(name: str) -> Algorithm:
    """The algorithm of this name; raises `InvalidRequest` when this release has none."""
    try:
        return ALGORITHMS[name]
    except KeyError:
        known = ", ".join(sorted(ALGORITHMS))
        raise InvalidRequest.at("/algorithm", f"{name!r} cannot be fitted here; {known} can.") from None
