"""What every mixture with scikit-learn's face shares, by whichever algorithm it is fitted."""

__all__ = ["MixtureEstimator", "MixtureModel"]

from abc import abstractmethod
from collections.abc import Generator
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from core.checks import (
    check_boolean,
    check_choice,
    check_integer,
    check_labels,
    check_random_state,
    check_real,
    check_sample_weight,
)
from core.covariance import COVARIANCES
from core.errors import InvalidParameter
from core.estimators.base import Estimator, exhaust
from core.fit import Algorithm, Info, Outcome, State, fit_steps, generator_from
from core.starts import STARTS
from core.threads import thread_map
from core.types import Floats, Ints, MapLike

Parameters = TypeVar("Parameters")


class MixtureModel(Protocol):
    """What a fitted mixture answers with: `Mixture`, or anything else that has its verbs."""

    @property
    def n_components(self) -> int:
        """k."""

    @property
    def n_features(self) -> int:
        """d."""

    @property
    def covariance_type(self) -> str:
        """Name of the covariance structure."""

    def predict(self, X: ArrayLike) -> Ints:
        """The most probable component of each row, shape (n,)."""

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Responsibilities (n, k)."""

    def score_samples(self, X: ArrayLike) -> Floats:
        """log p(x) of each row, shape (n,)."""

    def mahalanobis(self, X: ArrayLike) -> Floats:
        """Distance of each row to each component in its own metric, shape (n, k)."""

    def sample(self, n_samples: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
        """Rows drawn (n_samples, d) and their components."""


class MixtureEstimator(Estimator, Generic[Parameters]):
    """A mixture fitted by an `Algorithm` of the loop in `core.fit`, whose parameters become a `MixtureModel`.

    A subclass brings its constructor, its algorithm (`_algorithm`), what its fit leaves behind (`_fitted`) and the
    model that answers for it (`_model`).
    """

    kind = "density_estimator"
    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    random_state: int | np.random.Generator | np.random.RandomState | None
    warm_start: bool
    verbose: int
    verbose_interval: int
    patience: int
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]

    @property
    @abstractmethod
    def _model(self) -> MixtureModel:
        """What answers once there is a fit."""

    @abstractmethod
    def _algorithm(self, rows: Floats, weight: Floats, chunk_map: MapLike) -> Algorithm[Parameters]:
        """The algorithm on rows and weights already checked; with `_warm()` its start is the last fit."""

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""
        k = check_integer("n_components", self.n_components, 1)
        check_choice("covariance_type", self.covariance_type, COVARIANCES)
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
        goes on to the same bits. `labels` (n_samples,), codes 0 … n_components − 1, make the fit supervised where
        there is a closed form: one component a label, and one `Info`. `chunk_map` maps functions over chunks of
        rows, by default over threads; the result has the same bits with any other one.
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
        algorithm = self._algorithm(rows, weight, chunk_map)
        return self._steps(algorithm, state) if codes is None else self._labelled(algorithm, codes)

    def _steps(self, algorithm: Algorithm[Parameters], state: State | None) -> Generator[Info, None, Self]:
        steps = fit_steps(
            algorithm,
            generator_from(self.random_state),
            n_init=1 if self._warm() else self.n_init,
            max_iter=self.max_iter,
            patience=self.patience,
            state=state,
        )
        return self._fitted((yield from self._watched(steps)))

    def _labelled(self, algorithm: Algorithm[Parameters], labels: Ints) -> Generator[Info, None, Self]:
        raise InvalidParameter("labels", labels, f"{type(self).__name__} has no supervised fit: leave them out")

    def _warm(self) -> bool:
        """Whether a fit goes on from the last one."""
        return self.warm_start and hasattr(self, "n_features_in_")

    def _fitted(self, outcome: Outcome[Parameters]) -> Self:
        """Leaves behind what the loop found; a subclass adds its parameters."""
        self.converged_, self.n_iter_ = outcome.converged, outcome.n_iter
        self.lower_bound_ = outcome.objective
        self.lower_bounds_ = outcome.trajectory.tolist()
        return self

    def predict(self, X: ArrayLike) -> Ints:
        """The most probable component of each row, shape (n,)."""
        rows = self._rows(X)
        return self._model.predict(rows)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Responsibilities (n, n_components)."""
        rows = self._rows(X)
        return self._model.predict_proba(rows)

    def score_samples(self, X: ArrayLike) -> Floats:
        """log p(x) of each row, shape (n,), in nats."""
        rows = self._rows(X)
        return self._model.score_samples(rows)

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
        return self._model.mahalanobis(rows)

    def sample(self, n_samples: int = 1) -> tuple[Floats, Ints]:
        """Rows drawn from the mixture (n_samples, d) and their components, by `random_state`."""
        self._check_fitted()
        return self._model.sample(n_samples, generator_from(self.random_state))
