"""Scikit-learn's face: `GaussianMixture`, `BayesianGaussianMixture`, `KMeans`, `MiniBatchKMeans`, over the core."""

__all__ = ["BayesianGaussianMixture", "GaussianMixture", "KMeans", "MiniBatchKMeans"]

from core.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
from core.estimators.gaussian_mixture import GaussianMixture
from core.estimators.kmeans import KMeans
from core.estimators.mini_batch_kmeans import MiniBatchKMeans
