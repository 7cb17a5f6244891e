"""What every mixture with scikit-learn's face shares, by whichever algorithm it is fitted."""

__all__ = ["MixtureAlgorithm", "MixtureEstimator", "MixtureModel", "Names"]

from abc import abstractmethod
from collections.abc import Generator
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.checks import (
    check_boolean,
    check_choice,
    check_integer,
    check_labels,
    check_random_state,
    check_real,
    check_rows,
    check_sample_weight,
    check_verbose,
)
from core.covariance import COVARIANCES
from core.errors import InvalidParameter
from core.estimators.base import Estimator, feature_names
from core.estimators.progress import printed
from core.fit import HISTORIES, Algorithm, History, Info, Outcome, State, fit_steps, generator_from
from core.rows import one_blas_thread
from core.starts import STARTS
from core.stepwise import RunningStatistics, Stepwise, stepwise
from core.threads import thread_map
from core.types import Floats, Ints, MapLike

Parameters = TypeVar("Parameters")

# The "auto" `init_size`: all rows up to the larger of these, the second times the number of components.
START_ROWS, START_ROWS_EACH = 20_000, 200

Names = NDArray[np.object_] | None


class MixtureModel(Protocol):
    """What a fitted mixture answers with: `Mixture`, or anything else that has its verbs."""

    @property
    def n_components(self) -> int:
        """k."""

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


class MixtureAlgorithm(Algorithm[Parameters], Stepwise[Parameters], Protocol[Parameters]):
    """What fits a mixture: run to convergence by `fit`, or a step for each batch by `partial_fit`."""

    @property
    def initial(self) -> Parameters | None:
        """Parameters that take the place of any start."""


class MixtureEstimator(Estimator, Generic[Parameters]):
    """A mixture fitted by an `Algorithm` of the loop in `core.fit`, whose parameters become a `MixtureModel`.

    A subclass brings its constructor, its algorithm (`_algorithm`), where its parameters are kept (`_keep`, `_kept`),
    the statistics that a stream of batches goes on from (`_running`) and the model that answers (`_model`).
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
    init_size: int | str | None
    history: str
    short_iter: int | None
    step_decay: float
    step_offset: float
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    history_: History
    n_steps_: int
    statistics_: RunningStatistics

    @property
    @abstractmethod
    def _model(self) -> MixtureModel:
        """What answers once there is a fit."""

    @property
    @abstractmethod
    def _kept(self) -> Parameters:
        """The parameters of the last fit."""

    @abstractmethod
    def _keep(self, parameters: Parameters, dtype: np.dtype[Any]) -> None:
        """Keeps fitted parameters; public arrays have the dtype of the training rows."""

    @abstractmethod
    def _running(self) -> RunningStatistics:
        """Statistics that stand for the last fit, where a stream goes on from it."""

    @abstractmethod
    def _algorithm(
        self, rows: Floats, weight: Floats, chunk_map: MapLike, initial: Parameters | None
    ) -> MixtureAlgorithm[Parameters]:
        """The algorithm on rows and weights already checked; `initial` parameters take the place of any start."""

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
        check_verbose(self.verbose)
        check_integer("verbose_interval", self.verbose_interval, 1)
        check_choice("history", self.history, HISTORIES)
        if self.short_iter is not None:
            check_integer("short_iter", self.short_iter, 1)
        check_random_state(self.random_state)
        check_real("step_offset", self.step_offset, 0.0)
        if not 0.5 < check_real("step_decay", self.step_decay, 0.0) <= 1:
            raise InvalidParameter("step_decay", self.step_decay, "must be above 0.5 and at most 1")
        if isinstance(self.init_size, str):
            if self.init_size != "auto":
                raise InvalidParameter("init_size", self.init_size, "must be 'auto', None, or an integer")
        elif self.init_size is not None:
            check_integer("init_size", self.init_size, k)
        if k > n_samples:
            raise InvalidParameter("n_components", k, f"must be at most the number of rows, {n_samples}")

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the mixture to rows X (n_samples, n_features), weighted by `sample_weight` (n_samples,).

        Raises `InvalidParameter`, `InvalidRows`, or a `FitFailure`; warns with `ConvergenceWarning` when the best
        run did not converge or a component is left without rows. With `verbose` it prints how far it is.
        """
        steps = self.fit_steps(X, sample_weight)
        for _ in printed(steps, self.verbose, self.verbose_interval):
            pass
        for doubt in self._doubts():
            self._warn(doubt)
        return self

    def _doubts(self) -> list[str]:
        """What a user should know of the last fit, and can act on."""
        if self.converged_ or self.max_iter == 0:
            return []
        return [
            "Best performing initialization did not converge. Try different init parameters, or increase max_iter, "
            f"tol, or check for degenerate data. It made {self.n_iter_} iterations."
        ]

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
        rows = check_rows(X)
        self.check_parameters(*rows.shape)
        codes = None if labels is None else check_labels("labels", labels, rows.shape[0], self.n_components)
        weight = check_sample_weight(sample_weight, rows.shape[0])
        if codes is not None:
            codes = check_labels("labels", codes[weight > 0], int((weight > 0).sum()), self.n_components)
        rows, weight = _counted(rows, weight)
        self.check_parameters(*rows.shape)
        warm = self.warm_start and self.__sklearn_is_fitted__()
        if warm:
            self._check_same_model(rows.shape[1], "warm_start")
        algorithm = self._algorithm(rows, weight, chunk_map, self._kept if warm else None)
        names = feature_names(X)
        if codes is not None:
            return self._labelled(algorithm, codes, rows, names)
        return self._steps(algorithm, state, rows, names)

    def _steps(
        self, algorithm: MixtureAlgorithm[Parameters], state: State | None, rows: Floats, names: Names
    ) -> Generator[Info, None, Self]:
        warm = algorithm.initial is not None
        steps = fit_steps(
            algorithm,
            generator_from(self.random_state),
            n_init=1 if warm else self.n_init,
            max_iter=self.max_iter,
            patience=self.patience,
            state=state,
            record=self.history == "parameters",
            short_iter=self.short_iter,
            previous=getattr(self, "lower_bound_", None) if warm else None,
        )
        outcome = yield from self._watched(steps)
        return self._fitted(outcome, rows, names)

    def _labelled(
        self, algorithm: MixtureAlgorithm[Parameters], labels: Ints, rows: Floats, names: Names
    ) -> Generator[Info, None, Self]:
        raise InvalidParameter("labels", labels, f"must be None: {type(self).__name__} has no supervised fit")

    def _fitted(self, outcome: Outcome[Parameters], rows: Floats, names: Names) -> Self:
        """Leaves behind what the loop found."""
        self._forget("n_steps_", "statistics_")
        self._keep(outcome.parameters, rows.dtype)
        self.converged_, self.n_iter_ = outcome.converged, outcome.n_iter
        self.lower_bound_ = outcome.objective
        self.lower_bounds_ = outcome.trajectory.tolist()
        self.history_ = outcome.history
        self._learn_features(rows.shape[1], names)
        return self

    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """One step of stepwise EM with the rows of a batch (Cappé & Moulines 2009).

        The statistics of the batch, a mean over its weight, are folded into those of the batches before by
        sₜ = (1 − γₜ) sₜ₋₁ + γₜ s̄ₜ, γₜ = (t + `step_offset`)^−`step_decay`, and the parameters follow from sₜ.
        The first batch makes the start, as `fit` would, and must have as many rows as there are components. After a
        fit, or `from_parameters`, that model counts as the first step. `lower_bound_` is the running mean of each
        batch's log-likelihood under the parameters before it. Raises what `fit` does, and then changes nothing.
        """
        begun = self.__sklearn_is_fitted__()
        rows = self._rows(X) if begun else check_rows(X)
        weight = check_sample_weight(sample_weight, rows.shape[0])
        names = getattr(self, "feature_names_in_", None) if begun else feature_names(X)
        rows, weight = _counted(rows, weight)
        self.check_parameters(max(rows.shape[0], self._model.n_components) if begun else rows.shape[0], rows.shape[1])
        if begun:
            self._check_same_model(rows.shape[1], "partial_fit")
        algorithm = self._algorithm(rows, weight, thread_map, self._kept if begun else None)
        running = (self.statistics_ if hasattr(self, "statistics_") else self._running()) if begun else None
        with one_blas_thread():
            start = algorithm.start(generator_from(self.random_state))
        parameters, running = stepwise(
            algorithm, start, running, float(weight.sum()), self.step_decay, self.step_offset
        )
        self._forget("converged_", "n_iter_", "lower_bounds_", "history_")
        self._keep(parameters, rows.dtype)
        self.statistics_, self.n_steps_ = running, running.n_steps
        self.lower_bound_ = running.statistics.log_likelihood
        self._learn_features(rows.shape[1], names)
        return self

    def _check_same_model(self, n_features: int, where: str) -> None:
        """Refuses to go on from a model of another shape or structure."""
        for name, given, known in (
            ("n_components", self.n_components, self._model.n_components),
            ("covariance_type", self.covariance_type, self._model.covariance_type),
        ):
            if given != known:
                raise InvalidParameter(name, given, f"must be {known!r}, as in the model that {where} goes on from")
        if n_features != self.n_features_in_:
            words = f"must be False: the model has {self.n_features_in_} features, and the rows {n_features}"
            raise InvalidParameter("warm_start", self.warm_start, words)

    def _init_size(self) -> int | None:
        """Rows that the starts by k-means and k-means++ see; None for all."""
        if isinstance(self.init_size, str):
            return max(START_ROWS, START_ROWS_EACH * self.n_components)
        return self.init_size

    def _forget(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    def predict(self, X: ArrayLike) -> Ints:
        """The most probable component of each row, shape (n,)."""
        rows = self._rows(X)
        return self._model.predict(rows)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Responsibilities (n, n_components)."""
        rows = self._rows(X)
        return self._model.predict_proba(rows).astype(rows.dtype, copy=False)

    def score_samples(self, X: ArrayLike) -> Floats:
        """log p(x) of each row, shape (n,), in nats."""
        rows = self._rows(X)
        return self._model.score_samples(rows).astype(rows.dtype, copy=False)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log p(x), weighted by `sample_weight`."""
        log_density = self.score_samples(X)
        if sample_weight is None:
            return float(log_density.mean())
        weight = check_sample_weight(sample_weight, log_density.shape[0])
        counted = weight > 0
        share = weight[counted] / weight.max()
        return float(share @ log_density[counted] / share.sum())

    def sample(self, n_samples: int = 1) -> tuple[Floats, Ints]:
        """Rows drawn from the mixture (n_samples, d) and their components, by `random_state`."""
        self._check_fitted()
        return self._model.sample(n_samples, generator_from(self.random_state))

    @property
    def _n_features_out(self) -> int:
        return self._model.n_components

    def _distances(self, rows: Floats) -> Floats:
        return self._model.mahalanobis(rows)


def _counted(rows: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The rows of positive weight: a row of weight 0 is no row, and must not even be able to overflow."""
    positive = weight > 0
    return (rows, weight) if positive.all() else (rows[positive], weight[positive])
