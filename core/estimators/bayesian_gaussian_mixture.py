"""The Bayesian Gaussian mixture with scikit-learn's face."""

__all__ = ["BayesianGaussianMixture"]

from collections.abc import Generator
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from core.bayesian import VariationalBayes, fit_labelled
from core.checks import check_array, check_choice, check_real
from core.concentration import CONCENTRATIONS
from core.covariance import COVARIANCES
from core.errors import InvalidParameter
from core.estimators.fitted import FittedMixture
from core.estimators.mixture_estimator import MixtureAlgorithm, MixtureEstimator, Names
from core.fit import History, Info, Outcome
from core.posterior import ExpectedMixture, Posterior
from core.prior import Prior, default_covariance, given_covariance, one_component
from core.stepwise import RunningStatistics
from core.types import Floats, Ints, MapLike

# As good as nothing, and as infinity, in a prior; beyond these, digamma and log-gamma functions are no floats.
SMALLEST, LARGEST = 1e-300, 1e300


class BayesianGaussianMixture(FittedMixture, MixtureEstimator[Posterior]):
    """Gaussian mixture by variational inference, with scikit-learn's parameters, defaults and fitted attributes.

    Priors left at None are, as there: weight concentration 1 / n_components, mean precision 1, the mean and the
    covariance of the rows, as many degrees of freedom as features. What goes on from a fit keeps the moments of the
    rows of that fit. `lower_bound_` is the whole bound on log p(X) in nats, over all rows: scikit-learn's plus a
    constant. `sample_weight` counts rows: a row of weight 2 is two rows.

    Beyond scikit-learn: what `GaussianMixture` has beyond it (but `from_parameters`), with `partial_fit` by
    stochastic variational inference, where all rows seen so far count as if they were like the running mean. After a
    fit `posterior_` holds the posterior, `mixture_` what it expects, and `effective_components_` the number of
    components that expect at least one row.
    """

    posterior_: Posterior
    mixture_: ExpectedMixture

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
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | None = None,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
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

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""
        super().check_parameters(n_samples, n_features)
        check_choice("weight_concentration_prior_type", self.weight_concentration_prior_type, CONCENTRATIONS)
        _check_above("weight_concentration_prior", self.weight_concentration_prior, 0.0)
        _check_above("mean_precision_prior", self.mean_precision_prior, 0.0)
        _check_above("degrees_of_freedom_prior", self.degrees_of_freedom_prior, n_features - 1.0)
        if self.mean_prior is not None:
            check_array("mean_prior", self.mean_prior, (n_features,))
        if self.covariance_prior is not None:
            given_covariance(COVARIANCES[self.covariance_type], self.covariance_prior, n_features)

    def _algorithm(
        self, rows: Floats, weight: Floats, chunk_map: MapLike, initial: Posterior | None
    ) -> VariationalBayes:
        return VariationalBayes(
            rows,
            weight,
            self.n_components,
            COVARIANCES[self.covariance_type],
            self._prior(rows, weight, chunk_map, initial),
            self.init_params,
            float(self.tol),
            float(self.reg_covar),
            initial,
            chunk_map,
            self._init_size(),
        )

    def _prior(self, rows: Floats, weight: Floats, chunk_map: MapLike, initial: Posterior | None) -> Prior:
        """The parameters given; for those that are not, what the fit had that this one goes on from, or defaults."""
        structure, d = COVARIANCES[self.covariance_type], rows.shape[1]
        mean = None if self.mean_prior is None else check_array("mean_prior", self.mean_prior, (d,))
        covariance = None if self.covariance_prior is None else given_covariance(structure, self.covariance_prior, d)
        if initial is not None:
            mean = initial.prior.mean if mean is None else mean
            covariance = initial.prior.covariance if covariance is None else covariance
        if mean is None or covariance is None:
            moments = one_component(structure, rows, weight, chunk_map)
            mean = moments.means[0] if mean is None else mean
            covariance = (
                default_covariance(structure, moments, float(self.reg_covar)) if covariance is None else covariance
            )
        return Prior(
            CONCENTRATIONS[self.weight_concentration_prior_type],
            float(_or(self.weight_concentration_prior, 1 / self.n_components)),
            float(_or(self.mean_precision_prior, 1.0)),
            mean,
            float(_or(self.degrees_of_freedom_prior, d)),
            covariance,
        )

    def _labelled(
        self, algorithm: MixtureAlgorithm[Posterior], labels: Ints, rows: Floats, names: Names
    ) -> Generator[Info, None, Self]:
        assert isinstance(algorithm, VariationalBayes)
        posterior, bound = fit_labelled(algorithm, labels)
        yield Info(1, 1, 1, 1, bound, inf, converged=True)
        history = History((np.array([bound]),), 0)
        return self._fitted(Outcome(posterior, bound, history.objectives[0], True, history), rows, names)

    def _keep(self, parameters: Posterior, dtype: np.dtype[Any]) -> None:
        self.posterior_, self.mixture_, self._dtype = parameters, parameters.mixture, dtype

    @property
    def _kept(self) -> Posterior:
        return self.posterior_

    def _running(self) -> RunningStatistics:
        statistics = self.posterior_.statistics
        return RunningStatistics(statistics.times(1 / statistics.total), 1, statistics.total)

    @property
    def effective_components_(self) -> int:
        """The number of components with Nₖ ≥ 1, that is, that expect at least one of the rows."""
        return self.posterior_.effective_components

    @property
    def weight_concentration_prior_(self) -> float:
        """α₀ of the Dirichlet distribution, γ of the process."""
        return self.posterior_.prior.weight_concentration

    @property
    def weight_concentration_(self) -> Floats | tuple[Floats, Floats]:
        """αₖ, shape (k,), of the Dirichlet distribution; both parameters of the process's Beta distributions."""
        parameters = self.posterior_.concentration.parameters
        if isinstance(parameters, tuple):
            return self._public(parameters[0]), self._public(parameters[1])
        return self._public(parameters)

    @property
    def mean_precision_prior_(self) -> float:
        """β₀."""
        return self.posterior_.prior.mean_precision

    @property
    def mean_precision_(self) -> Floats:
        """βₖ, shape (k,)."""
        return self._public(self.posterior_.mean_precision)

    @property
    def mean_prior_(self) -> Floats:
        """m₀, shape (d,)."""
        return self._public(self.posterior_.prior.mean)

    @property
    def degrees_of_freedom_prior_(self) -> float:
        """ν₀."""
        return self.posterior_.prior.degrees_of_freedom

    @property
    def degrees_of_freedom_(self) -> Floats:
        """νₖ, shape (k,); a number for the tied structure."""
        return self._public(self.posterior_.degrees_of_freedom)[()]

    @property
    def covariance_prior_(self) -> Floats:
        """W₀⁻¹: (d, d) for full and tied, (d,) for diag, a number for spherical."""
        covariance = self.posterior_.prior.covariance
        shape = covariance.shape_of_one(covariance.n_features)
        return self._public(covariance.covariances.reshape(shape))[()]


def _or(given: float | None, default: float) -> float:
    return default if given is None else given


def _check_above(name: str, value: object, bound: float) -> None:
    """None, or a real number above the bound, so far from 0 and infinity that its functions and sums are floats."""
    if value is None:
        return
    number = check_real(name, value, bound)
    if number <= bound:
        raise InvalidParameter(name, value, f"must be above {bound:g}")
    if not SMALLEST <= number <= LARGEST:
        raise InvalidParameter(name, value, f"must lie between {SMALLEST:g} and {LARGEST:g}")
