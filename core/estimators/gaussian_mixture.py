"""The Gaussian mixture with scikit-learn's face."""

__all__ = ["GaussianMixture"]

from collections.abc import Generator
from math import inf
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from core.checks import (
    check_array,
    check_boolean,
    check_choice,
    check_integer,
    check_labels,
    check_random_state,
    check_real,
    check_sample_weight,
    check_weights,
)
from core.covariance import COVARIANCES
from core.em import EM, STARTS, fit_labelled
from core.errors import InvalidParameter
from core.estimators.base import Estimator, exhaust
from core.fit import Info, Outcome, State, fit_steps, generator_from
from core.metrics import aic, bic
from core.mixture import Mixture
from core.threads import thread_map
from core.types import Floats, Ints, MapLike


class GaussianMixture(Estimator):
    """Gaussian mixture by EM, with scikit-learn's parameters, defaults and fitted attributes.

    Beyond them: `sample_weight` and `labels` in the fit; `patience`, the number of successive gains below `tol`
    that end a run; `init_params="block"`, consecutive equal blocks of rows; `fit_steps`, the fit as a generator;
    `transform`, Mahalanobis distances. After a fit `mixture_` holds the model itself.
    """

    kind = "density_estimator"
    weights_: Floats
    means_: Floats
    covariances_: Floats
    precisions_: Floats
    precisions_cholesky_: Floats
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
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
        k = check_integer("n_components", self.n_components, 1)
        structure = COVARIANCES[check_choice("covariance_type", self.covariance_type, COVARIANCES)]
        check_real("tol", self.tol, 0.0)
        check_real("reg_covar", self.reg_covar, 0.0)
        check_integer("max_iter", self.max_iter, 0)
        check_integer("n_init", self.n_init, 1)
        check_integer("patience", self.patience, 1)
        check_choice("init_params", self.init_params, STARTS)
        check_boolean("warm_start", self.warm_start)
        check_random_state(self.random_state)
        if k > n_samples:
            raise InvalidParameter("n_components", k, f"must be at most the number of rows, {n_samples}")
        if self.weights_init is not None:
            check_weights("weights_init", self.weights_init, k)
        if self.means_init is not None:
            check_array("means_init", self.means_init, (k, n_features))
        if self.precisions_init is not None:
            structure.from_precisions(self.precisions_init, k, n_features)

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the mixture to rows X (n_samples, n_features), weighted by `sample_weight` (n_samples,).

        Raises `InvalidParameter`, `InvalidRows`, or a `FitFailure`; warns with `ConvergenceWarning` when the best
        run did not converge or a component is left without rows.
        """
        exhaust(self.fit_steps(X, sample_weight))
        if not self.converged_ and self.max_iter > 0:
            self._warn(
                f"the best run did not converge in {self.n_iter_} iterations: increase max_iter or tol, "
                "or look for degenerate data"
            )
        if (self.weights_ == 0).any():
            self._warn(f"component {int(np.argmin(self.weights_))} has no rows: use fewer components")
        return self

    def fit_steps(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        state: State | None = None,
        chunk_map: MapLike = thread_map,
    ) -> Generator[Info, None, Self]:
        """The fit as a generator: one `Info` an iteration; when it is exhausted the estimator is fitted.

        While it is suspended `state_` is the `State` from which another call, with the same rows and parameters,
        goes on to the same bits. `labels` (n_samples,), codes 0 … n_components − 1, make the fit supervised: one
        component a label in closed form, and one `Info`. `chunk_map` maps functions over chunks of rows, by
        default over threads; the result has the same bits with any other one.
        """
        rows = self._training_rows(X)
        self.check_parameters(*rows.shape)
        weight = check_sample_weight(sample_weight, rows.shape[0])
        codes = None if labels is None else check_labels("labels", labels, rows.shape[0], self.n_components)
        positive = weight > 0
        if not positive.all():
            # A row of weight 0 is no row: it must not even be able to overflow.
            rows, weight = rows[positive], weight[positive]
            codes = None if codes is None else check_labels("labels", codes[positive], len(rows), self.n_components)
            self.check_parameters(*rows.shape)
        return self._steps(self._algorithm(rows, weight, chunk_map), codes, state)

    def _algorithm(self, rows: Floats, weight: Floats, chunk_map: MapLike) -> EM:
        k, d = self.n_components, rows.shape[1]
        structure = COVARIANCES[self.covariance_type]
        warm = self.warm_start and hasattr(self, "mixture_")
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
            self.mixture_ if warm else None,
            chunk_map,
        )

    def _steps(self, algorithm: EM, labels: Ints | None, state: State | None) -> Generator[Info, None, Self]:
        if labels is not None:
            mixture, bound = fit_labelled(algorithm, labels)
            yield Info(1, 1, 1, 1, bound, inf, converged=True)
            return self._fitted(Outcome(mixture, bound, np.array([bound]), True))
        steps = fit_steps(
            algorithm,
            generator_from(self.random_state),
            n_init=self.n_init if algorithm.initial is None else 1,
            max_iter=self.max_iter,
            patience=self.patience,
            state=state,
        )
        return self._fitted((yield from self._watched(steps)))

    def _fitted(self, outcome: Outcome[Mixture]) -> Self:
        mixture = outcome.parameters
        self.mixture_ = mixture
        self.weights_, self.means_, self.covariances_ = mixture.weights, mixture.means, mixture.covariances
        self.precisions_ = mixture.covariance.precisions
        self.precisions_cholesky_ = mixture.covariance.precisions_cholesky
        self.converged_, self.n_iter_ = outcome.converged, outcome.n_iter
        self.lower_bound_ = outcome.objective
        self.lower_bounds_ = outcome.trajectory.tolist()
        self.n_features_in_ = mixture.n_features
        return self

    def predict(self, X: ArrayLike) -> Ints:
        """The most probable component of each row, shape (n,)."""
        rows = self._rows(X)
        return self.mixture_.predict(rows)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Responsibilities (n, n_components)."""
        rows = self._rows(X)
        return self.mixture_.predict_proba(rows)

    def score_samples(self, X: ArrayLike) -> Floats:
        """log p(x) of each row, shape (n,), in nats."""
        rows = self._rows(X)
        return self.mixture_.score_samples(rows)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log p(x), weighted by `sample_weight`."""
        log_density = self.score_samples(X)
        weight = check_sample_weight(sample_weight, log_density.shape[0])
        counted = weight > 0
        share = weight[counted] / weight.max()
        return float(share @ log_density[counted] / share.sum())

    def transform(self, X: ArrayLike) -> Floats:
        """Mahalanobis distances to the components, shape (n, n_components)."""
        rows = self._rows(X)
        return self.mixture_.mahalanobis(rows)

    def sample(self, n_samples: int = 1) -> tuple[Floats, Ints]:
        """Rows drawn from the mixture (n_samples, d) and their components, by `random_state`."""
        self._check_fitted()
        return self.mixture_.sample(n_samples, generator_from(self.random_state))

    def aic(self, X: ArrayLike) -> float:
        """Akaike's criterion on rows X; lower is better."""
        return aic(float(self.score_samples(X).sum()), self.mixture_.n_parameters)

    def bic(self, X: ArrayLike) -> float:
        """Schwarz's criterion on rows X; lower is better."""
        log_density = self.score_samples(X)
        return bic(float(log_density.sum()), self.mixture_.n_parameters, log_density.shape[0])
