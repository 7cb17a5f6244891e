"""Scikit-learn's face: `GaussianMixture`, `KMeans`, `MiniBatchKMeans`, thin over the functional core."""

__all__ = ["GaussianMixture", "KMeans", "MiniBatchKMeans"]

from core.estimators.gaussian_mixture import GaussianMixture
from core.estimators.kmeans import KMeans
from core.estimators.mini_batch_kmeans import MiniBatchKMeans
