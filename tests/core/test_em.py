"""EM as the estimator runs it: beside scikit-learn, under weights, offsets and scales, to its end."""

import warnings

import numpy as np
import pytest
import sklearn.base
import sklearn.cluster
import sklearn.mixture

from core.covariance import COVARIANCES
from core.em import EM
from core.errors import (
    CollapsedComponent,
    ConvergenceWarning,
    Diverged,
)
from core.estimators import GaussianMixture
from core.fit import Step

# Data offset by 1e8 in multiples of 2⁻²⁰ are exactly the same data.
GRID = 2.0**20


def initial(name, X, k):
    """The same start for both sides: precisions of the whole, means at rows, uneven weights."""
    d = X.shape[1]
    precision = np.linalg.inv(np.cov(X.T).reshape(d, d))
    precisions = {
        "full": np.stack([precision] * k),
        "tied": precision,
        "diag": np.stack([np.diag(precision)] * k),
        "spherical": np.full(k, np.trace(precision) / d),
    }[name]
    weights = np.arange(1.0, k + 1)
    return {"weights_init": weights / weights.sum(), "means_init": X[:k].copy(), "precisions_init": precisions}


def fit_theirs(name, X, k, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sklearn.mixture.GaussianMixture(k, covariance_type=name, **initial(name, X, k), **options).fit(X)


def fit_ours(name, X, k, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, covariance_type=name, **initial(name, X, k), **options).fit(X)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize(("k", "d", "seed"), [(1, 1, 0), (2, 3, 1), (4, 5, 2), (3, 2, 3)])
@pytest.mark.parametrize("options", [{}, {"tol": 1e-7, "max_iter": 60}, {"reg_covar": 0.1}])
def test_the_same_trajectory_as_scikit_learn(name, k, d, seed, options, blobs):
    X, _ = blobs(n=500, d=d, k=k, seed=seed)
    theirs, ours = fit_theirs(name, X, k, **options), fit_ours(name, X, k, **options)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-10)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)
    for attribute in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(
            getattr(ours, attribute), getattr(theirs, attribute), rtol=1e-6, atol=1e-8, err_msg=attribute
        )
    fresh = X[:20] + 0.3
    np.testing.assert_allclose(ours.score_samples(fresh), theirs.score_samples(fresh), rtol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(fresh), theirs.predict_proba(fresh), atol=1e-8)
    np.testing.assert_array_equal(ours.predict(fresh), theirs.predict(fresh))
    assert ours.aic(X) == pytest.approx(theirs.aic(X), rel=1e-9)
    assert ours.bic(X) == pytest.approx(theirs.bic(X), rel=1e-9)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)


@pytest.mark.parametrize("name", COVARIANCES)
def test_integer_weights_count_like_repeated_rows(name, blobs):
    X, _ = blobs(n=150)
    counts = np.random.default_rng(2).integers(0, 4, 150)
    options = initial(name, X, 3) | {"covariance_type": name, "tol": 1e-8}
    weighted = GaussianMixture(3, **options).fit(X, sample_weight=counts)
    repeated = GaussianMixture(3, **options).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-10)
    np.testing.assert_allclose(weighted.weights_, repeated.weights_, rtol=1e-10)
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "block"])
def test_an_offset_does_not_change_the_fit(name, init_params, blobs):
    X = np.round(blobs(n=200)[0] * GRID) / GRID
    options = {"covariance_type": name, "init_params": init_params, "random_state": 0, "max_iter": 5, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain, shifted = (GaussianMixture(3, **options).fit(rows) for rows in (X, X + 1e8))
    np.testing.assert_allclose(shifted.covariances_, plain.covariances_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(shifted.lower_bounds_, plain.lower_bounds_, rtol=1e-7)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e20, 1e150])
def test_without_regularisation_scale_only_moves_the_bound(name, scale, blobs):
    X, _ = blobs(n=200, d=2)
    options = {"covariance_type": name, "reg_covar": 0.0, "random_state": 0}
    plain, scaled = (GaussianMixture(2, **options).fit(rows) for rows in (X, X * scale))
    assert scaled.n_iter_ == plain.n_iter_
    np.testing.assert_allclose(scaled.weights_, plain.weights_, rtol=1e-8)
    np.testing.assert_allclose(scaled.covariances_ / scale / scale, plain.covariances_, rtol=1e-7)
    assert scaled.lower_bound_ + 2 * np.log(scale) == pytest.approx(plain.lower_bound_, abs=1e-9)


def test_squares_that_overflow_are_named(blobs):
    with pytest.raises(Diverged, match=r"above the largest float.*start 1"):
        GaussianMixture(2, random_state=0).fit(blobs()[0] * 1e200)


@pytest.mark.parametrize("name", COVARIANCES)
def test_supervised_fit_is_the_closed_form(name, blobs):
    X, labels = blobs(n=300)
    weight = np.random.default_rng(0).uniform(0.5, 2, 300)
    mixture = GaussianMixture(3, covariance_type=name)
    infos = list(mixture.fit_steps(X, weight, labels=labels))
    assert len(infos) == 1
    assert infos[0].converged
    shares = np.bincount(labels, weights=weight) / weight.sum()
    each = np.stack([np.cov(X[labels == j].T, aweights=weight[labels == j], ddof=0) for j in range(3)])
    variances = np.diagonal(each, axis1=1, axis2=2)
    expected = {
        "full": each + 1e-6 * np.eye(3),
        "tied": np.tensordot(shares, each, 1) + 1e-6 * np.eye(3),
        "diag": variances + 1e-6,
        "spherical": variances.mean(axis=1) + 1e-6,
    }[name]
    np.testing.assert_allclose(mixture.weights_, shares, rtol=1e-12)
    for j in range(3):
        mean = np.average(X[labels == j], axis=0, weights=weight[labels == j])
        np.testing.assert_allclose(mixture.means_[j], mean, rtol=1e-11)
    np.testing.assert_allclose(mixture.covariances_, expected, rtol=1e-10, atol=1e-13)
    assert infos[0].objective == pytest.approx(mixture.score(X, sample_weight=weight), rel=1e-12)
    assert mixture.lower_bounds_ == [mixture.lower_bound_]


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_constant_feature_is_held_up_by_regularisation_alone(name, blobs):
    X, _ = blobs(n=100, d=2)
    X[:, 1] = 1e8 + 0.1
    mixture = GaussianMixture(2, covariance_type=name, random_state=0).fit(X)
    assert np.isfinite(mixture.score_samples(X)).all()
    if name != "spherical":
        with pytest.raises(CollapsedComponent) as collapsed:
            GaussianMixture(2, covariance_type=name, reg_covar=0.0, random_state=0).fit(X)
        assert collapsed.value.feature == 1
        assert collapsed.value.component == (None if name == "tied" else 0)
        assert collapsed.value.variance <= collapsed.value.bound == pytest.approx((4 * 2.0**-52 * 1e8) ** 2)


def test_patience_goes_on_after_the_first_small_gain(blobs):
    X, _ = blobs(n=300)
    once, thrice = (fit_ours("full", X, 3, patience=patience) for patience in (1, 3))
    assert thrice.n_iter_ >= once.n_iter_ + 2
    assert thrice.lower_bounds_[: once.n_iter_] == once.lower_bounds_


def test_zero_tolerance_runs_all_iterations(blobs):
    assert fit_ours("diag", blobs()[0], 2, tol=0.0, max_iter=150).n_iter_ == 150


def test_warm_start_goes_on(blobs):
    X, _ = blobs(n=300)
    whole = fit_ours("full", X, 3, max_iter=6, tol=0.0)
    warm = GaussianMixture(3, **initial("full", X, 3), max_iter=3, tol=0.0, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bounds = [*warm.fit(X).lower_bounds_, *warm.fit(X).lower_bounds_]
    assert bounds == whole.lower_bounds_


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_only_a_small_gain_is_convergence(reg_covar, blobs):
    X, _ = blobs(n=50)
    em = EM(X, np.ones(50), 1, COVARIANCES["full"], reg_covar=reg_covar, tol=1e-3)
    step = Step(em.start(np.random.default_rng(0)), -3.0)
    assert em.quiet(step, 1e-4)
    assert em.quiet(step, -1e-12)
    assert not em.quiet(step, 1e-2)
    assert not em.quiet(step, -1e-2)
    # A regularised M-step may overshoot the bound's maximum a little; a plain one must not.
    assert em.quiet(step, -1e-4) == (reg_covar > 0)


def test_a_bound_that_regularisation_pulls_down_is_reported(blobs):
    X, _ = blobs(n=200)
    best = GaussianMixture(1, reg_covar=0.0).fit(X)
    start = {"weights_init": [1.0], "means_init": best.means_, "precisions_init": best.precisions_}
    infos = list(GaussianMixture(1, reg_covar=2.0, **start).fit_steps(X))
    assert infos[1].fell
    assert infos[1].change < -1e-2
    assert not infos[1].converged
    assert infos[-1].converged
    assert not infos[-1].fell


@pytest.mark.parametrize("name", COVARIANCES)
def test_only_ratios_of_weights_matter(name, blobs):
    X, _ = blobs(n=60)
    plain = GaussianMixture(2, covariance_type=name, random_state=0).fit(X)
    for weight in (2.0**-1074, 2.0**1000):
        weighted = GaussianMixture(2, covariance_type=name, random_state=0).fit(X, sample_weight=np.full(60, weight))
        assert weighted.lower_bounds_ == plain.lower_bounds_
        np.testing.assert_array_equal(weighted.covariances_, plain.covariances_)
        assert weighted.score(X, sample_weight=np.full(60, weight)) == pytest.approx(plain.score(X), rel=1e-12)
