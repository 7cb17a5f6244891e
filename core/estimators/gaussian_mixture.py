"""The Gaussian mixture with scikit-learn's face."""

__all__ = ["GaussianMixture"]

from collections.abc import Generator
from math import inf
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_array, check_weights
from core.covariance import COVARIANCES
from core.em import EM, fit_labelled
from core.estimators.mixture_estimator import MixtureEstimator
from core.fit import Algorithm, Info, Outcome
from core.metrics import aic, bic
from core.mixture import Mixture
from core.types import Floats, Ints, MapLike


class GaussianMixture(MixtureEstimator[Mixture]):
    """Gaussian mixture by EM, with scikit-learn's parameters, defaults and fitted attributes.

    Beyond them: `sample_weight` and `labels` in the fit; `patience`, the number of successive gains below `tol`
    that end a run; `init_params="block"`, consecutive equal blocks of rows; `fit_steps`, the fit as a generator;
    `transform`, Mahalanobis distances. After a fit `mixture_` holds the model itself.
    """

    weights_: Floats
    means_: Floats
    covariances_: Floats
    precisions_: Floats
    precisions_cholesky_: Floats
    mixture_: Mixture

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        patience: int = 1,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.patience = patience

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""
        super().check_parameters(n_samples, n_features)
        k = self.n_components
        if self.weights_init is not None:
            check_weights("weights_init", self.weights_init, k)
        if self.means_init is not None:
            check_array("means_init", self.means_init, (k, n_features))
        if self.precisions_init is not None:
            COVARIANCES[self.covariance_type].from_precisions(self.precisions_init, k, n_features)

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        super().fit(X, sample_weight=sample_weight)
        if (self.weights_ == 0).any():
            self._warn(f"component {int(np.argmin(self.weights_))} has no rows: use fewer components")
        return self

    def _algorithm(self, rows: Floats, weight: Floats, chunk_map: MapLike) -> EM:
        k, d = self.n_components, rows.shape[1]
        structure = COVARIANCES[self.covariance_type]
        return EM(
            rows,
            weight,
            k,
            structure,
            self.init_params,
            float(self.tol),
            float(self.reg_covar),
            None if self.weights_init is None else check_weights("weights_init", self.weights_init, k),
            None if self.means_init is None else check_array("means_init", self.means_init, (k, d)),
            None if self.precisions_init is None else structure.from_precisions(self.precisions_init, k, d),
            self.mixture_ if self._warm() else None,
            chunk_map,
        )

    def _labelled(self, algorithm: Algorithm[Mixture], labels: Ints) -> Generator[Info, None, Self]:
        assert isinstance(algorithm, EM)
        mixture, bound = fit_labelled(algorithm, labels)
        yield Info(1, 1, 1, 1, bound, inf, converged=True)
        return self._fitted(Outcome(mixture, bound, np.array([bound]), True))

    def _fitted(self, outcome: Outcome[Mixture]) -> Self:
        mixture = outcome.parameters
        self.mixture_ = mixture
        self.weights_, self.means_, self.covariances_ = mixture.weights, mixture.means, mixture.covariances
        self.precisions_ = mixture.covariance.precisions
        self.precisions_cholesky_ = mixture.covariance.precisions_cholesky
        self.n_features_in_ = mixture.n_features
        return super()._fitted(outcome)

    @property
    def _model(self) -> Mixture:
        return self.mixture_

    def aic(self, X: ArrayLike) -> float:
        """Akaike's criterion on rows X; lower is better."""
        return aic(float(self.score_samples(X).sum()), self.mixture_.n_parameters)

    def bic(self, X: ArrayLike) -> float:
        """Schwarz's criterion on rows X; lower is better."""
        log_density = self.score_samples(X)
        return bic(float(log_density.sum()), self.mixture_.n_parameters, log_density.shape[0])
