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
    InvalidParameter,
    InvalidRows,
    NotFittedError,
)
from core.estimators import GaussianMixture, KMeans
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


@pytest.mark.parametrize("ours", [GaussianMixture, KMeans])
def test_parameters_and_defaults_are_scikit_learns(ours):
    theirs = {GaussianMixture: sklearn.mixture.GaussianMixture, KMeans: sklearn.cluster.KMeans}[ours]
    assert ours().get_params() | theirs().get_params() == ours().get_params()
    beyond = {"patience", "init_size", "history", "step_decay", "step_offset"}
    assert set(ours().get_params()) - set(theirs().get_params()) <= beyond
    assert sklearn.base.clone(ours(3, random_state=1)).get_params()["random_state"] == 1


def test_set_params_refuses_what_is_not_one():
    assert KMeans().set_params(n_clusters=3).n_clusters == 3
    with pytest.raises(InvalidParameter, match="not a parameter of KMeans"):
        KMeans().set_params(k=3)
    assert repr(GaussianMixture(3, tol=0.1)) == "GaussianMixture(n_components=3, tol=0.1)"


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


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0], [0, 0, 0, 0], [0, -1, 1, 0], [0.0, 1.0, 1.0, 0.0], [0, 1], [True] * 4]
)
def test_labels_that_are_not_one_component_each_are_refused(labels):
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(InvalidParameter) as refused:
        GaussianMixture(2).fit_steps(X, labels=labels)
    assert refused.value.name == "labels"
    with pytest.raises(InvalidParameter):
        KMeans(2).fit_steps(X, labels=[0, 1, 0, 1])


INVALID_MIXTURES = [
    *({"n_components": value} for value in (True, 0, -1, 2.5, 2.0, "2", None, 11, np.nan)),
    *({"tol": value} for value in (-1e-3, np.nan, np.inf, "0.1", None, True)),
    *({"reg_covar": value} for value in (-1e-6, np.nan, np.inf, "0", False)),
    *({"max_iter": value} for value in (-1, 1.5, True, "100")),
    *({"n_init": value} for value in (0, 1.0, True, None)),
    *({"patience": value} for value in (0, 1.5, True, "1")),
    *({"covariance_type": value} for value in ("Full", "", None, 3, ["full"])),
    *({"init_params": value} for value in ("kmeans++", None, 1)),
    *({"random_state": value} for value in (-1, 1.5, "0", True)),
    *({"warm_start": value} for value in (1, "no", None)),
    *({"weights_init": value} for value in ([1.0], [0.5, 0.6], [1.5, -0.5], [0.5, np.nan], "even", [[0.5, 0.5]])),
    *({"means_init": value} for value in ([[0.0]], [[0.0, 0.0, 0.0]] * 2, [[np.inf, 0], [0, 0]], [["a", "b"]] * 2)),
    *({"precisions_init": value} for value in (np.eye(2), -np.ones((2, 2, 2)), np.full((2, 2, 2), np.nan))),
    {"precisions_init": [[[1.0, 0.9], [0.1, 1.0]]] * 2},
]
INVALID_KMEANS = [
    *({"n_clusters": value} for value in (True, 0, 2.5, "2", None, 11)),
    *({"tol": value} for value in (-1.0, np.nan, "x", True)),
    *({"max_iter": value} for value in (0, 1.5, True)),
    *({"n_init": value} for value in (0, "many", 1.5, True, None)),
    *({"init": value} for value in ("kmeans", [[0.0, 0.0]], [[np.nan, 0.0]] * 2, None, np.zeros((2, 3)))),
    *({"algorithm": value} for value in ("full", None, 1)),
    *({"random_state": value} for value in (-1, "0", True)),
]


@pytest.mark.parametrize(
    ("estimator", "bad"),
    [(GaussianMixture(2), bad) for bad in INVALID_MIXTURES] + [(KMeans(2), bad) for bad in INVALID_KMEANS],
    ids=lambda value: repr(value)[:60] if isinstance(value, dict) else type(value).__name__,
)
def test_every_parameter_is_refused_by_name(estimator, bad):
    estimator = sklearn.base.clone(estimator).set_params(**bad)
    (name,) = bad
    with pytest.raises(InvalidParameter) as refused:
        estimator.check_parameters(10, 2)
    assert refused.value.name == name
    assert str(refused.value).startswith(name)
    with pytest.raises(InvalidParameter):
        estimator.fit(np.random.default_rng(0).normal(size=(10, 2)))


@pytest.mark.parametrize("estimator", [GaussianMixture(2), KMeans(2)])
def test_good_parameters_are_accepted(estimator):
    estimator.check_parameters(2, 2)
    estimator.set_params(random_state=np.random.default_rng(0)).check_parameters(10, 1)


@pytest.mark.parametrize("estimator", [GaussianMixture(2), KMeans(2)], ids=["mixture", "kmeans"])
@pytest.mark.parametrize(
    ("X", "row", "column", "words"),
    [
        ([[1.0, 2.0], [3.0, np.nan], [0.0, 0.0]], 1, 1, "NaN"),
        ([[1.0, 2.0], [3.0, 4.0], [-np.inf, 0.0]], 2, 0, "infinite"),
        ([[1.0, 2.0], [3.0, None]], 1, 1, "not a real number"),
        ([[1.0, 2.0], ["a", 1.0]], None, None, "real numbers"),
        (np.array([[1.0, "a"]], dtype=object), 0, 1, "not a real number"),
        ([[1.0, 2.0], [3.0]], None, None, "ragged"),
        ([1.0, 2.0], None, None, "1-D"),
        (np.zeros((2, 2, 2)), None, None, "3-D"),
        (np.zeros((0, 2)), None, None, "0 sample"),
        (np.zeros((3, 0)), None, None, "0 feature"),
        ([[True, False], [False, True]], None, None, "real numbers"),
        ([[1j, 0], [0, 1]], None, None, "real numbers"),
        ([[10**400, 0], [0, 1]], None, None, "too large"),
    ],
)
def test_rows_are_refused_with_their_place(estimator, X, row, column, words):
    with pytest.raises(InvalidRows, match=words) as refused:
        estimator.fit(X)
    assert (refused.value.row, refused.value.column) == (row, column)


def test_sparse_rows_are_named_as_unsupported():
    from scipy.sparse import csr_array

    with pytest.raises(InvalidRows, match="sparse"):
        KMeans(2).fit(csr_array(np.eye(3)))


@pytest.mark.parametrize("weight", [[1.0, 1.0], [1, 1, -1], [1, 1, np.nan], [0, 0, 0], "heavy", [[1, 1, 1]]])
@pytest.mark.parametrize("estimator", [GaussianMixture(1), KMeans(1)])
def test_weights_of_rows_are_checked(estimator, weight):
    with pytest.raises(InvalidParameter) as refused:
        estimator.fit([[0.0], [1.0], [2.0]], sample_weight=weight)
    assert refused.value.name == "sample_weight"


@pytest.mark.parametrize("verb", ["predict", "predict_proba", "score_samples", "score", "transform", "aic", "bic"])
def test_a_mixture_is_not_used_before_its_fit(verb):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), verb)([[0.0]])
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()


@pytest.mark.parametrize("verb", ["predict", "score", "transform"])
def test_kmeans_is_not_used_before_its_fit(verb):
    with pytest.raises(NotFittedError):
        getattr(KMeans(), verb)([[0.0]])


def test_one_row_makes_one_component():
    mixture = GaussianMixture(1).fit([[1.0, 2.0]])
    np.testing.assert_array_equal(mixture.means_, [[1.0, 2.0]])
    np.testing.assert_allclose(mixture.covariances_, [1e-6 * np.eye(2)])
    assert KMeans(1).fit([[1.0, 2.0]]).inertia_ == 0


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


@pytest.mark.parametrize("name", COVARIANCES)
def test_more_components_than_distinct_rows(name):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="has no rows"):
        mixture = GaussianMixture(3, covariance_type=name, random_state=0).fit(X)
    assert np.isfinite(mixture.predict_proba(X)).all()
    assert mixture.weights_.sum() == pytest.approx(1)
    with pytest.warns(ConvergenceWarning, match="only 2 of 3 clusters"):
        assert KMeans(3, random_state=0).fit(X).inertia_ == 0


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "block"])
def test_every_start_finds_clear_groups(init_params, rng):
    groups = np.repeat([0, 1, 2], 60)
    X = rng.normal(size=(180, 2)) + np.array([[0, 0], [12, 0], [0, 12]])[groups]
    mixture = GaussianMixture(3, init_params=init_params, random_state=4, n_init=8, max_iter=300).fit(X)
    assert len(set(zip(groups.tolist(), mixture.predict(X).tolist(), strict=True))) == 3


def test_max_iter_zero_leaves_the_start():
    X = np.arange(20.0).reshape(10, 2)
    mixture = GaussianMixture(2, init_params="block", covariance_type="diag", max_iter=0).fit(X)
    np.testing.assert_allclose(mixture.means_, [X[:5].mean(axis=0), X[5:].mean(axis=0)])
    assert mixture.n_iter_ == 0
    assert mixture.lower_bounds_ == []


def test_without_convergence_there_is_a_warning(blobs):
    X, _ = blobs()
    with pytest.warns(ConvergenceWarning, match=r"did not converge.* 2 iterations"):
        mixture = GaussianMixture(3, init_params="random", max_iter=2, random_state=0).fit(X)
    assert not mixture.converged_
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 iterations"):
        assert not KMeans(3, init=X[:3], max_iter=1).fit(X).converged_


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


def test_the_best_of_several_runs_is_kept(blobs):
    X, _ = blobs(n=300, k=5)
    mixture = GaussianMixture(5, n_init=4, init_params="random", random_state=0, max_iter=500)
    finals = {}
    for info in mixture.fit_steps(X):
        finals[info.init] = info.objective
    assert len(finals) == 4
    assert mixture.lower_bound_ == max(finals.values())


@pytest.mark.parametrize("n_init", ["auto", 3])
def test_number_of_runs_of_kmeans(n_init, blobs):
    X, _ = blobs(n=100)
    for init, auto in (("k-means++", 1), ("random", 10), (X[:3], 1)):
        expected = auto if n_init == "auto" else (3 if isinstance(init, str) else 1)
        infos = list(KMeans(3, init=init, n_init=n_init, random_state=0).fit_steps(X))
        assert infos[-1].init == infos[-1].n_init == expected


def test_the_same_seed_gives_the_same_bits(blobs):
    X, _ = blobs()
    for estimator in (GaussianMixture(3, n_init=2, random_state=7), KMeans(3, random_state=7)):
        first = sklearn.base.clone(estimator).fit(X)
        second = sklearn.base.clone(estimator).fit(X)
        np.testing.assert_array_equal(first.transform(X), second.transform(X))


def test_sampling_follows_the_random_state(blobs):
    mixture = GaussianMixture(3, random_state=0).fit(blobs()[0])
    first, labels = mixture.sample(30)
    np.testing.assert_array_equal(first, mixture.sample(30)[0])
    assert first.shape == (30, 3)
    assert labels.shape == (30,)
    with pytest.raises(InvalidParameter):
        mixture.sample(0)


def test_estimators_pickle_after_their_fit(blobs):
    import pickle

    X, _ = blobs()
    for estimator in (GaussianMixture(2, random_state=0).fit(X), KMeans(2, random_state=0).fit(X)):
        again = pickle.loads(pickle.dumps(estimator))
        np.testing.assert_array_equal(again.predict(X), estimator.predict(X))


def test_elkan_is_lloyd_by_another_name(blobs):
    X, _ = blobs()
    first, second = (KMeans(3, algorithm=name, random_state=0).fit(X) for name in ("lloyd", "elkan"))
    np.testing.assert_array_equal(first.cluster_centers_, second.cluster_centers_)


def test_rows_of_weight_zero_do_not_exist(blobs):
    X, _ = blobs(n=60)
    weight = np.ones(60)
    weight[:20] = 0
    wild = X.copy()
    wild[:20] = 1e170
    with_them, without = (
        GaussianMixture(2, random_state=0).fit(wild, sample_weight=weight),
        GaussianMixture(2, random_state=0).fit(X[20:]),
    )
    np.testing.assert_array_equal(with_them.means_, without.means_)
    with pytest.raises(InvalidParameter, match="at most the number of rows, 1"):
        GaussianMixture(2).fit(X, sample_weight=np.eye(60)[0])


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


def test_ragged_labels_are_refused():
    with pytest.raises(InvalidParameter, match="one a row"):
        GaussianMixture(2).fit_steps(np.zeros((2, 1)), labels=[[0], [1, 1]])


@pytest.mark.parametrize("name", COVARIANCES)
def test_only_ratios_of_weights_matter(name, blobs):
    X, _ = blobs(n=60)
    plain = GaussianMixture(2, covariance_type=name, random_state=0).fit(X)
    for weight in (2.0**-1074, 2.0**1000):
        weighted = GaussianMixture(2, covariance_type=name, random_state=0).fit(X, sample_weight=np.full(60, weight))
        assert weighted.lower_bounds_ == plain.lower_bounds_
        np.testing.assert_array_equal(weighted.covariances_, plain.covariances_)
        assert weighted.score(X, sample_weight=np.full(60, weight)) == pytest.approx(plain.score(X), rel=1e-12)


def test_a_score_does_not_ask_rows_of_weight_zero():
    mixture = GaussianMixture(1).fit([[0.0], [1.0]])
    assert mixture.score([[0.5], [1e300]], sample_weight=[1.0, 0.0]) == mixture.score([[0.5]])


def test_refusals_are_one_sentence_without_its_period():
    options = {GaussianMixture: INVALID_MIXTURES, KMeans: INVALID_KMEANS}
    for kind, bads in options.items():
        for bad in bads:
            with pytest.raises(InvalidParameter) as refused:
                kind(2).set_params(**bad).check_parameters(10, 2)
            text = str(refused.value)
            assert "must" in text
            assert "\n" not in text
            assert not text.endswith(".")
