"""Mixture models and k-means: arrays and a generator in, frozen values out; scikit-learn's face on top."""

__all__ = [
    "PCA",
    "AffineMap",
    "BayesianGaussianMixture",
    "Centroids",
    "CollapsedComponent",
    "ConvergenceWarning",
    "Diverged",
    "FitFailure",
    "GaussianMixture",
    "History",
    "Info",
    "InvalidParameter",
    "InvalidRows",
    "KMeans",
    "MiniBatchKMeans",
    "Mixture",
    "NotFittedError",
    "ScoreQuantiles",
    "StandardScaler",
    "State",
    "fit_preprocess",
    "pull_back",
]

from core.affine import AffineMap, pull_back
from core.anomaly import ScoreQuantiles
from core.errors import (
    CollapsedComponent,
    ConvergenceWarning,
    Diverged,
    FitFailure,
    InvalidParameter,
    InvalidRows,
    NotFittedError,
)
from core.estimators import BayesianGaussianMixture, GaussianMixture, KMeans, MiniBatchKMeans
from core.fit import History, Info, State
from core.kmeans import Centroids
from core.mixture import Mixture
from core.preprocess import PCA, StandardScaler, fit_preprocess
