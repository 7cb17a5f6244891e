"""Serving: what a fitted model says of rows. Callers speak in original features; the model need not."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import FieldError, InvalidRequest, UnsupportedOperation
from app.domain.labels import encode
from app.services.algorithms import algorithm
from app.services.model_file import FittedModel
from core.affine import pull_back
from core.kmeans import Centroids
from core.metrics import (
    adjusted_rand_score,
    aic,
    bic,
    error_rate,
    majority_mapping,
    normalized_mutual_info_score,
    silhouette_score,
)
from core.mixture import Mixture
from core.types import Floats

Labels = NDArray[np.int64]


SILHOUETTE_ROWS = 10_000


@dataclass(frozen=True)
class Flags:
    """Anomaly scores, the threshold they were held against and who is above it."""

    score: Floats
    is_anomaly: NDArray[np.bool_]
    threshold: float


class Served(ABC):
    """One version, loaded. Rows come in as (n, d) in original features, without gaps."""

    def __init__(self, name: str, version: int, fitted: FittedModel) -> None:
        self.name, self.version, self.fitted = name, version, fitted
        self._preprocess = fitted.preprocess

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.fitted.feature_names

    def inward(self, X: Floats) -> Floats:
        """Rows in the model's own space; raises `InvalidRequest` for rows that are beyond numbers there."""
        with np.errstate(over="ignore", invalid="ignore"):
            Z = self._preprocess.transform(X)
        beyond = np.flatnonzero(~np.isfinite(Z).all(axis=1)).tolist()
        if beyond:
            detail = "Row {} is so far away that it overflows once scaled as the model's rows were."
            raise InvalidRequest(
                detail.format(beyond[0]), [FieldError(f"/instances/{i}", detail.format(i)) for i in beyond]
            )
        return Z

    @abstractmethod
    def predict(self, X: Floats) -> Labels: ...

    @abstractmethod
    def distances(self, X: Floats) -> Floats: ...

    @abstractmethod
    def parameters(self) -> dict[str, Any]: ...

    @abstractmethod
    def fit_measures(self, X: Floats) -> dict[str, float | None]: ...

    def predict_proba(self, X: Floats) -> tuple[Floats, Floats]:
        """Responsibilities (n, k) and their entropy over ln k, (n,)."""
        raise self._unsupported("predict_proba", "it assigns rows to clusters, without probabilities")

    def log_density(self, X: Floats) -> Floats:
        """Log density (n,) in original features."""
        raise self._unsupported("density", "it has no density")

    def sample(self, n_samples: int, random_state: int | None) -> tuple[Floats, Labels]:
        """Draws (n, d) in original features, and the component of each."""
        raise self._unsupported("sample", "nothing can be drawn from it")

    def anomaly(self, X: Floats, contamination: float | None, threshold: float | None) -> Flags:
        """Scores against `threshold`, or against that of a contamination (by default the fit's)."""
        if threshold is None:
            threshold = self._threshold(contamination)
        scores = algorithm(self.fitted.algorithm).scores
        score = scores(self.fitted.model, self.inward(X), self._preprocess.log_abs_det)
        return Flags(score, score > threshold, threshold)

    def _threshold(self, contamination: float | None) -> float:
        wanted = self.fitted.contamination if contamination is None else contamination
        if self.fitted.training_scores is None or wanted is None:
            why = "its parameters were given, so there are no scores of training rows; name a threshold"
            raise self._unsupported("anomaly without a threshold", why)
        return self.fitted.training_scores.threshold(wanted)

    def evaluate(self, X: Floats, labels: list[int] | list[str] | None) -> dict[str, Any]:
        """How well the model suits these rows; with labels, how far its groups are theirs."""
        predicted = self.predict(X)
        measures: dict[str, Any] = {"n_samples": len(X), **self.fit_measures(X)}
        # Its time grows with the square of the rows: above a number of them, those of a fixed sample speak for all.
        rows = _sample_of(len(X), SILHOUETTE_ROWS)
        Z, groups_of = self.inward(X)[rows], predicted[rows]
        apart = 2 <= len(np.unique(groups_of)) < len(Z)
        measures["silhouette"] = silhouette_score(Z, groups_of) if apart else None
        measures["silhouette_rows"] = len(Z) if apart else None
        if labels is None:
            return measures
        if len(labels) != len(X):
            raise InvalidRequest.at("/labels", f"labels has {len(labels)} entries for {len(X)} rows.")
        names, truth = encode(labels)
        mapping = majority_mapping(truth, predicted)
        return measures | {
            "adjusted_rand": adjusted_rand_score(truth, predicted),
            "normalized_mutual_info": normalized_mutual_info_score(truth, predicted),
            "error_rate": error_rate(truth, predicted),
            "mapping": {str(group): names[label] for group, label in mapping.items()},
        }

    def _unsupported(self, verb: str, why: str) -> UnsupportedOperation:
        return UnsupportedOperation(
            f"{verb} is not offered by {self.name!r} version {self.version}, a {self.fitted.algorithm}: {why}."
        )


def _sample_of(n_rows: int, most: int) -> NDArray[np.int64]:
    """All rows, or `most` of them drawn without repetition, always the same ones."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))


class ServedMixture(Served):
    """A Gaussian mixture."""

    def __init__(self, name: str, version: int, fitted: FittedModel, mixture: Mixture) -> None:
        super().__init__(name, version, fitted)
        self._mixture = mixture

    def predict(self, X: Floats) -> Labels:
        return self._mixture.predict(self.inward(X))

    def predict_proba(self, X: Floats) -> tuple[Floats, Floats]:
        resp = self._mixture.predict_proba(self.inward(X))
        k = self._mixture.n_components
        if k == 1:
            return resp, np.zeros(len(resp))
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(resp > 0, resp * np.log(resp), 0.0)
        return resp, np.clip(-terms.sum(axis=1) / np.log(k), 0.0, 1.0) + 0.0  # no negative zero

    def log_density(self, X: Floats) -> Floats:
        return self._mixture.score_samples(self.inward(X)) + self._preprocess.log_abs_det

    def distances(self, X: Floats) -> Floats:
        return self._mixture.mahalanobis(self.inward(X))

    def sample(self, n_samples: int, random_state: int | None) -> tuple[Floats, Labels]:
        Z, labels = self._mixture.sample(n_samples, np.random.default_rng(random_state))
        return self._preprocess.inverse_transform(Z), labels

    def fit_measures(self, X: Floats) -> dict[str, float | None]:
        log_likelihood = float(self.log_density(X).sum())
        n_parameters = self._mixture.n_parameters
        return {
            "mean_log_likelihood": log_likelihood / len(X),
            "aic": aic(log_likelihood, n_parameters),
            "bic": bic(log_likelihood, n_parameters, len(X)),
            "inertia": None,
        }

    def parameters(self) -> dict[str, Any]:
        original = self._preprocess.is_invertible
        mixture = pull_back(self._mixture, self._preprocess) if original else self._mixture
        return {
            "space": "original" if original else "preprocessed",
            "covariance_type": mixture.covariance_type,
            "weights": mixture.weights.tolist(),
            "means": mixture.means.tolist(),
            "covariances": mixture.covariances.tolist(),
        }


class ServedCentroids(Served):
    """K-means."""

    def __init__(self, name: str, version: int, fitted: FittedModel, centroids: Centroids) -> None:
        super().__init__(name, version, fitted)
        self._centroids = centroids

    def predict(self, X: Floats) -> Labels:
        return self._centroids.predict(self.inward(X))

    def distances(self, X: Floats) -> Floats:
        return self._centroids.distances(self.inward(X))

    def fit_measures(self, X: Floats) -> dict[str, float | None]:
        inertia = float(self._centroids.inertia(self.inward(X)))
        return {"mean_log_likelihood": None, "aic": None, "bic": None, "inertia": inertia}

    def parameters(self) -> dict[str, Any]:
        original = self._preprocess.is_invertible
        centers = self._centroids.cluster_centers
        if original:
            centers = self._preprocess.inverse_transform(centers)
        return {"space": "original" if original else "preprocessed", "cluster_centers": centers.tolist()}


def serve(name: str, version: int, fitted: FittedModel) -> Served:
    """The loaded version as what it is."""
    if isinstance(fitted.model, Mixture):
        return ServedMixture(name, version, fitted, fitted.model)
    return ServedCentroids(name, version, fitted, fitted.model)
