"""The Gaussian mixture with scikit-learn's face."""

__all__ = ["GaussianMixture"]

from collections.abc import Generator
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from core.checks import check_array, check_sample_weight, check_weights
from core.covariance import COVARIANCES
from core.em import EM, fit_labelled
from core.estimators.fitted import FittedMixture
from core.estimators.mixture_estimator import MixtureAlgorithm, MixtureEstimator, Names
from core.fit import History, Info, Outcome
from core.metrics import aic, bic
from core.mixture import Mixture
from core.stepwise import RunningStatistics, statistics_of_mixture
from core.types import Floats, Ints, MapLike


class GaussianMixture(FittedMixture, MixtureEstimator[Mixture]):
    """Gaussian mixture by EM, with scikit-learn's parameters, defaults and fitted attributes.

    Beyond them:

    - `sample_weight` and `labels` in the fit; `fit_steps`, the fit as a generator; `partial_fit`, stepwise EM;
      `from_parameters`; `transform`, Mahalanobis distances.
    - `init_params="block"`: the start gives consecutive equal blocks of rows to the components.
    - `patience`: the number of successive gains below `tol` that end a run.
    - `init_size`: how many rows, drawn uniformly by `random_state`, the starts "kmeans" and "k-means++" see. None is
      all of them; "auto" is all up to 20 000, or 200 a component when that is more, and so many of a larger number.
    - `history`: "objectives", or "parameters" to keep those of the best run after each iteration, too.
    - `short_iter`: with `n_init` > 1, runs are short, of so many iterations, and only the best of them goes on to its
      end (Biernacki, Celeux & Govaert 2003). None takes every run to its end.
    - `step_decay` in (½, 1] and `step_offset` ≥ 0: the step γₜ = (t + offset)^−decay of `partial_fit`. Decay 1 and
      offset 0 give every batch the same part; less forgets sooner.

    Fitted attributes have the dtype of the training rows; they are read-only views of `mixture_`, the model itself,
    which is in float64. `history_` is a `History`; after `partial_fit` there are `n_steps_` and `statistics_` instead
    of what a whole fit leaves.
    """

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
        init_size: int | str | None = "auto",
        history: str = "objectives",
        short_iter: int | None = None,
        step_decay: float = 0.6,
        step_offset: float = 2.0,
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
        self.init_size = init_size
        self.history = history
        self.short_iter = short_iter
        self.step_decay = step_decay
        self.step_offset = step_offset

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: str = "full",
        **parameters: Any,
    ) -> Self:
        """A fitted estimator without a fit: weights (k,), means (k, d), covariances in the shape of their type.

        `parameters` are the constructor's others. `partial_fit`, and `fit` with `warm_start`, go on from the model.
        Raises `InvalidParameter` for a wrong shape, weights that do not sum to 1, or a covariance that is not
        symmetric positive definite, with its component.
        """
        mixture = Mixture.from_parameters(weights, means, covariances, covariance_type)
        estimator = cls(mixture.n_components, covariance_type=covariance_type, **parameters)
        estimator._keep(mixture, np.dtype(np.float64))
        estimator._learn_features(mixture.n_features, None)
        return estimator

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

    def _doubts(self) -> list[str]:
        doubts = super()._doubts()
        if (self.weights_ == 0).any():
            doubts.append(f"component {int(np.argmin(self.weights_))} has no rows: use fewer components")
        return doubts

    def _algorithm(self, rows: Floats, weight: Floats, chunk_map: MapLike, initial: Mixture | None) -> EM:
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
            initial,
            chunk_map,
            self._init_size(),
        )

    def _labelled(
        self, algorithm: MixtureAlgorithm[Mixture], labels: Ints, rows: Floats, names: Names
    ) -> Generator[Info, None, Self]:
        assert isinstance(algorithm, EM)
        mixture, bound = fit_labelled(algorithm, labels)
        yield Info(1, 1, 1, 1, bound, inf, converged=True)
        history = History((np.array([bound]),), 0)
        return self._fitted(Outcome(mixture, bound, history.objectives[0], True, history), rows, names)

    def _keep(self, parameters: Mixture, dtype: np.dtype[Any]) -> None:
        self.mixture_, self._dtype = parameters, dtype

    @property
    def _kept(self) -> Mixture:
        return self.mixture_

    def _running(self) -> RunningStatistics:
        return statistics_of_mixture(self.mixture_, getattr(self, "lower_bound_", 0.0))

    def _n_parameters(self) -> int:
        """Free parameters, by the name that scikit-learn's users know."""
        return self.mixture_.n_parameters

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike's criterion on rows X, each counted as `sample_weight` rows; lower is better."""
        log_likelihood, _ = self._log_likelihood(X, sample_weight)
        return aic(log_likelihood, self.mixture_.n_parameters)

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Schwarz's criterion on rows X, each counted as `sample_weight` rows; lower is better."""
        log_likelihood, n_samples = self._log_likelihood(X, sample_weight)
        return bic(log_likelihood, self.mixture_.n_parameters, n_samples)

    def _log_likelihood(self, X: ArrayLike, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """Total log-likelihood of rows, and how many they count as."""
        log_density = self.score_samples(X)
        if sample_weight is None:
            return float(log_density.sum(dtype=np.float64)), log_density.shape[0]
        weight = check_sample_weight(sample_weight, log_density.shape[0])
        counted = weight > 0  # 0 · −∞ is no number
        return float(weight[counted] @ log_density[counted]), float(weight.sum())
