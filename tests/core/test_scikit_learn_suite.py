"""Scikit-learn's own public tests of mixtures and k-means, pointed at our estimators.

Their modules are executed with our classes where they import their own, and their tests collected here, with their
parametrisations. What is left out stands in `EXCLUDED` with its reason; where only the wording of a refusal differs,
`WORDS` has ours for theirs, and the rest of the test holds.
"""

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture

import core.estimators
from core.errors import FitFailure

MODULES = {
    "gaussian": "sklearn.mixture.tests.test_gaussian_mixture",
    "bayesian": "sklearn.mixture.tests.test_bayesian_mixture",
    "mixture": "sklearn.mixture.tests.test_mixture",
    "k_means": "sklearn.cluster.tests.test_k_means",
}
OURS = ("BayesianGaussianMixture", "GaussianMixture", "KMeans", "MiniBatchKMeans")

PRIVATE = "calls private functions of theirs"
ARRAY_API = "dispatches to other array libraries; ours computes with NumPy alone"
EXCLUDED = {
    "gaussian": {
        "suffstat_sk_full": PRIVATE,
        "suffstat_sk_tied": PRIVATE,
        "suffstat_sk_diag": PRIVATE,
        "gaussian_suffstat_sk_spherical": PRIVATE,
        "compute_log_det_cholesky": PRIVATE,
        "gaussian_mixture_log_probabilities": PRIVATE,
        "gaussian_mixture_precisions_init": PRIVATE,
        "gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private function",
        "gaussian_mixture_setting_best_params": "a component collapses: ours refuses by name",
        "gaussian_mixture_array_api_compliance": ARRAY_API,
        "gaussian_mixture_raises_where_array_api_not_implemented": ARRAY_API,
    },
    "bayesian": {
        "log_dirichlet_norm": PRIVATE,
        "log_wishart_norm": PRIVATE,
        "compare_covar_type": "calls private methods of theirs",
    },
    "mixture": {},
    "k_means": {
        "relocate_empty_clusters": PRIVATE,
        "minibatch_update_consistency": PRIVATE,
        "minibatch_reassign": PRIVATE,
        "euclidean_distance": PRIVATE,
        "inertia": PRIVATE,
        "is_same_clustering": PRIVATE,
        "sample_weight_init": PRIVATE,
        "sample_weight_zero": PRIVATE,
        "kmeans_init_auto_with_initial_centroids": "reads the private _n_init",
        "n_init_auto": "reads the private _n_init",
        "minibatch_kmeans_init_size": "reads the private _init_size",
        "k_means_function": "a function of theirs",
        "kmeans_plusplus_wrong_params": "a function of theirs",
        "kmeans_plusplus_output": "a function of theirs",
        "kmeans_plusplus_norms": "a function of theirs",
        "kmeans_plusplus_dataorder": "a function of theirs",
    },
}

# Ours name the argument, its value and the bound.
WORDS = {
    "The parameter 'weights' should": r"weights_init = .*: must",
    "The parameter 'means' should have the shape of": r"means_init = .*: must have shape",
    "precision' should have the shape of": r"precisions_init = .*: must have shape",
    "precision' should be": r"precisions_init = .*: must be positive definite",
    "The parameter 'degrees_of_freedom_prior'": r"degrees_of_freedom_prior = 1.0: must be above 1",
    "Invalid value for 'n_samples'": r"n_samples = 0: must be at least 1",
    "Expected n_samples >= n_components": r"n_components = 12: must be at most the number of rows, 10",
    "some components have ill-defined empirical covariance": r"collapsed.*: the variance .*use fewer components",
    "The shape of the initial centers": r"init = .*: must have shape",
    "should be >= n_clusters": r"n_clusters = .*: must be at most the number of rows",
    "Number of distinct clusters": r"only . of . clusters have rows",
}


class Pytest:
    """Theirs of `pytest`, but for the words of refusals, and for collapses, which are no ValueError of ours."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pytest, name)

    @staticmethod
    def words(match: str | re.Pattern[str] | None) -> str | re.Pattern[str] | None:
        plain = "" if match is None else re.sub(r"\\(.)", r"\1", getattr(match, "pattern", match))
        return next((ours for theirs, ours in WORDS.items() if theirs in plain), match)

    def raises(self, expected: Any, match: Any = None) -> Any:
        kinds = (ValueError, FitFailure) if expected is ValueError else expected
        return pytest.raises(kinds, match=self.words(match))

    def warns(self, expected: Any, match: Any = None) -> Any:
        return pytest.warns(expected, match=self.words(match))


@contextmanager
def ours_in_their_place() -> Iterator[None]:
    """Inside, an import from scikit-learn gives our estimators."""
    packages = (sklearn.cluster, sklearn.mixture)
    ours = {
        package: {name: getattr(core.estimators, name) for name in OURS if hasattr(package, name)}
        for package in packages
    }
    with (
        patch.multiple(sklearn.cluster, **ours[sklearn.cluster]),
        patch.multiple(sklearn.mixture, **ours[sklearn.mixture]),
    ):
        yield


def loaded(path: str) -> ModuleType:
    spec = importlib.util.find_spec(path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with ours_in_their_place():
        spec.loader.exec_module(module)
    module.pytest = Pytest()
    return module


def theirs() -> dict[str, dict[str, Callable[..., None]]]:
    """Their tests by module and name."""
    return {
        short: {name[5:]: value for name, value in vars(loaded(path)).items() if name.startswith("test_")}
        for short, path in MODULES.items()
    }


THEIRS = theirs()
RUN = {
    f"test_{short}_{name}": function
    for short, functions in THEIRS.items()
    for name, function in functions.items()
    if name not in EXCLUDED[short]
}
globals().update(RUN)

# What they warn of, or let NumPy warn of, is theirs to judge.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


def test_their_tests_are_found_and_every_exclusion_is_one_of_them():
    for short, reasons in EXCLUDED.items():
        assert set(reasons) <= set(THEIRS[short])
    assert {short: len(functions) for short, functions in THEIRS.items()}["gaussian"] >= 30
    assert len(RUN) >= 80
