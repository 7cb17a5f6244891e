"""Data that break naive numerics: every estimator is right, or refuses by name; never NaN, never silent."""

import warnings

import numpy as np
import pytest

from core import (
    BayesianGaussianMixture,
    ConvergenceWarning,
    FitFailure,
    GaussianMixture,
    InvalidParameter,
    InvalidRows,
    KMeans,
)
from core.covariance import COVARIANCES

GROUPS = np.repeat([[0.0, 0.0, 0.0], [9.0, 0.0, 3.0], [0.0, 8.0, -4.0]], 40, axis=0)


def spread(rng):
    return GROUPS + rng.normal(size=GROUPS.shape) @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3)))


CASES = {
    "one row": lambda rng: np.ones((1, 3)),
    "two equal rows": lambda rng: np.full((2, 3), 0.1),
    "fewer rows than features": lambda rng: rng.normal(size=(4, 9)),
    "rows on a line": lambda rng: np.outer(np.arange(50.0), [1, 2, -1]),
    "a constant feature": lambda rng: np.column_stack([spread(rng), np.full(120, 0.1)]),
    "a feature constant at 1e8": lambda rng: np.column_stack([spread(rng), np.full(120, 1e8 + 0.3)]),
    "few distinct rows": lambda rng: np.repeat(rng.normal(size=(3, 2)), 20, axis=0),
    "all rows equal": lambda rng: np.full((30, 2), -7.3e5),
    "offset 1e8": lambda rng: spread(rng) + 1e8,
    "offset 1e15": lambda rng: np.round(spread(rng) * 8) + 1e15,
    "offsets that differ": lambda rng: spread(rng) + np.array([1e12, -1e-3, 1e6]),
    "features of unlike size": lambda rng: spread(rng) * [1e-9, 1.0, 1e9],
    "size 1e-150": lambda rng: spread(rng) * 1e-150,
    "size 1e150": lambda rng: spread(rng) * 1e150,
    "size 1e-300": lambda rng: spread(rng) * 1e-300,
    "size 1e200": lambda rng: spread(rng) * 1e200,
    "the ends of the floats": lambda rng: np.array([[1.7e308], [-1.7e308], [0.0], [1.0]]),
    "subnormal numbers": lambda rng: rng.integers(0, 50, (60, 2)) * 5e-324,
    "one row far out": lambda rng: np.vstack([spread(rng), [[1e12, 0, 0]]]),
    "one row at 1e200": lambda rng: np.vstack([spread(rng), [[1e200, 0, 0]]]),
    "one row at 1e300": lambda rng: np.vstack([spread(rng), [[0, -1e300, 0]]]),
    "needles": lambda rng: np.vstack([rng.normal(size=(60, 2)) * [1, 1e-9], rng.normal(size=(60, 2)) * [1e-9, 1]]),
    "a needle in a haystack": lambda rng: np.vstack([rng.normal(size=(80, 2)) * 1e6, rng.normal(size=(80, 2)) * 1e-3]),
}
ESTIMATORS = {
    **{
        f"{name} mixture, reg_covar={reg:g}": lambda k, name=name, reg=reg: GaussianMixture(
            k, covariance_type=name, reg_covar=reg, random_state=0
        )
        for name in COVARIANCES
        for reg in (1e-6, 0.0)
    },
    **{
        f"{name} Bayesian mixture, {weights}, reg_covar={reg:g}": lambda k, name=name, weights=weights, reg=reg: (
            BayesianGaussianMixture(
                k, covariance_type=name, weight_concentration_prior_type=weights, reg_covar=reg, random_state=0
            )
        )
        for name in COVARIANCES
        for weights, reg in (("dirichlet_process", 1e-6), ("dirichlet_distribution", 0.0))
    },
    "k-means": lambda k: KMeans(k, random_state=0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_right_or_refused_by_name(case, estimator, k, rng):
    X = CASES[case](rng)
    model = ESTIMATORS[estimator](min(k, len(X)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X)
    except (FitFailure, InvalidRows):
        assert not hasattr(model, "n_features_in_")
        return
    except InvalidParameter as error:
        # Rows without a covariance of their own make no prior: the one parameter that data can refuse.
        if error.name != "covariance_prior" or hasattr(model, "n_features_in_"):
            raise
        return
    far = np.vstack([X, np.full((1, X.shape[1]), 1e200), np.full((1, X.shape[1]), -1e200)])
    labels = model.predict(far)
    assert labels.min() >= 0
    assert labels.max() < k
    distances = model.transform(far)
    assert (distances >= 0).all()  # and so not NaN; a distance may be infinite
    if isinstance(model, KMeans):
        assert np.isfinite(model.cluster_centers_).all()
        assert not np.isnan(model.inertia_)
        round_off = 4 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
        assert (model.cluster_centers_ >= X.min(axis=0) - round_off).all()
        assert (model.cluster_centers_ <= X.max(axis=0) + round_off).all()
        return
    assert all(np.isfinite(array).all() for array in (model.weights_, model.means_, model.covariances_))
    assert model.weights_.sum() == pytest.approx(1, abs=1e-12)
    assert np.isfinite(model.lower_bound_)
    proba = model.predict_proba(far)
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
    log_density = model.score_samples(far)
    assert not np.isnan(log_density).any()
    assert np.isfinite(log_density[:-2]).all()
    rows, owners = model.sample(20)
    assert np.isfinite(rows).all()
    assert owners.max() < k
