"""Scikit-learn's face: `GaussianMixture` and `KMeans`, thin over the functional core."""

__all__ = ["GaussianMixture", "KMeans"]

from core.estimators.gaussian_mixture import GaussianMixture
from core.estimators.kmeans import KMeans
