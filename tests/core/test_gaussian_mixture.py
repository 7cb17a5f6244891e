"""What the Gaussian mixture has beyond scikit-learn's: parameters given, history, streams of lines, dtypes."""

import pickle

import numpy as np
import pytest
import sklearn.base
from scipy.spatial.distance import mahalanobis
from scipy.stats import multivariate_normal

from core.covariance import COVARIANCES
from core.errors import ConvergenceWarning, InvalidParameter, NotFittedError
from core.estimators import GaussianMixture

WEIGHTS, MEANS = [0.3, 0.7], [[0.0, 1.0], [4.0, -2.0]]
SPREADS = {
    "full": [[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.2], [-0.2, 3.0]]],
    "tied": [[2.0, 0.5], [0.5, 1.0]],
    "diag": [[2.0, 1.0], [1.0, 3.0]],
    "spherical": [2.0, 0.5],
}


def matrices(name):
    """The covariances of both components as matrices."""
    given = np.asarray(SPREADS[name])
    return {
        "full": given,
        "tied": np.stack([given] * 2),
        "diag": np.array([np.diag(variances) for variances in given]) if given.ndim == 2 else None,
        "spherical": np.array([variance * np.eye(2) for variance in given]) if given.ndim == 1 else None,
    }[name]


@pytest.mark.parametrize("name", COVARIANCES)
def test_given_parameters_answer_like_a_fit(name, rng):
    mixture = GaussianMixture.from_parameters(WEIGHTS, MEANS, SPREADS[name], name, random_state=3, tol=0.5)
    X = rng.normal(scale=3, size=(40, 2))
    normals = [multivariate_normal(mean, matrix) for mean, matrix in zip(MEANS, matrices(name), strict=True)]
    joint = np.stack([weight * normal.pdf(X) for weight, normal in zip(WEIGHTS, normals, strict=True)], axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), np.log(joint.sum(axis=1)), rtol=1e-12)
    np.testing.assert_allclose(mixture.predict_proba(X), joint / joint.sum(axis=1, keepdims=True), rtol=1e-11)
    np.testing.assert_array_equal(mixture.predict(X), joint.argmax(axis=1))
    distances = [
        [mahalanobis(x, mean, np.linalg.inv(matrix)) for mean, matrix in zip(MEANS, matrices(name), strict=True)]
        for x in X
    ]
    np.testing.assert_allclose(mixture.transform(X), distances, rtol=1e-12)
    np.testing.assert_array_equal(mixture.covariances_, SPREADS[name])
    assert mixture.get_params()["n_components"] == 2
    assert mixture.get_params()["tol"] == 0.5
    rows, labels = mixture.sample(4000)
    np.testing.assert_allclose(np.bincount(labels) / 4000, WEIGHTS, atol=0.03)
    np.testing.assert_allclose(np.cov(rows[labels == 1].T), matrices(name)[1], atol=0.25)
    assert mixture.aic(X) == pytest.approx(2 * mixture.mixture_.n_parameters - 2 * np.log(joint.sum(axis=1)).sum())


def test_given_parameters_pickle_but_are_not_cloned():
    mixture = GaussianMixture.from_parameters(WEIGHTS, MEANS, SPREADS["full"], random_state=1)
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.predict_proba(MEANS), mixture.predict_proba(MEANS))
    twin = sklearn.base.clone(mixture)
    assert twin.get_params() == mixture.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(MEANS)


def test_a_warm_fit_goes_on_from_given_parameters(blobs):
    X, _ = blobs(n=300, d=2, k=2)
    given = {"weights": WEIGHTS, "means": MEANS, "covariances": SPREADS["full"]}
    warm = GaussianMixture.from_parameters(**given, warm_start=True, n_init=3).fit(X)
    start = {
        "weights_init": WEIGHTS,
        "means_init": MEANS,
        "precisions_init": np.linalg.inv(SPREADS["full"]),
    }
    cold = GaussianMixture(2, **start).fit(X)
    np.testing.assert_allclose(warm.lower_bounds_, cold.lower_bounds_, rtol=1e-12)
    assert len(warm.history_.objectives) == 1
    fresh = GaussianMixture.from_parameters(**given, random_state=0).fit(X)
    np.testing.assert_array_equal(fresh.means_, GaussianMixture(2, random_state=0).fit(X).means_)


@pytest.mark.parametrize(
    ("changed", "columns", "name", "words"),
    [
        ({"n_components": 3}, 3, "n_components", "must be 2, as in the model that warm_start goes on from"),
        ({"covariance_type": "diag"}, 3, "covariance_type", "must be 'full', as in the model that warm_start goes on"),
        ({}, 2, "warm_start", "must be False: the model has 3 features, and the rows 2"),
    ],
)
def test_a_warm_fit_needs_a_model_of_the_same_form(changed, columns, name, words, blobs):
    X, _ = blobs()
    mixture = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    with pytest.raises(InvalidParameter, match=words) as refused:
        mixture.set_params(**changed).fit(X[:, :columns])
    assert refused.value.name == name
    cold = mixture.set_params(warm_start=False).fit(X[:, :columns])
    assert cold.n_features_in_ == columns


@pytest.mark.parametrize(
    ("bad", "name", "words"),
    [
        ({"weights": [0.5, 0.6]}, "weights", "must sum to 1"),
        ({"weights": [1.0]}, "weights", "shape"),
        ({"means": [0.0, 1.0]}, "means", "2-D"),
        ({"means": [[0.0, np.nan], [0.0, 0.0]]}, "means", "finite"),
        ({"covariances": SPREADS["diag"]}, "covariances", "shape"),
        ({"covariances": [np.eye(2), [[1.0, 0.9], [0.1, 1.0]]]}, "covariances", "symmetric: component 1"),
        ({"covariances": [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]}, "covariances", "definite; component 1 is not"),
        ({"covariance_type": "round"}, "covariance_type", "one of"),
    ],
)
def test_given_parameters_are_checked(bad, name, words):
    given = {"weights": WEIGHTS, "means": MEANS, "covariances": SPREADS["full"]} | bad
    with pytest.raises(InvalidParameter, match=words) as refused:
        GaussianMixture.from_parameters(**given)
    assert refused.value.name == name


def test_fitted_arrays_are_those_of_the_model_and_cannot_be_changed(blobs):
    mixture = GaussianMixture(2, random_state=0)
    assert not hasattr(mixture, "means_")
    mixture.fit(blobs()[0])
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mixture, name)[0] = 0
        with pytest.raises(AttributeError):
            setattr(mixture, name, 0)
    assert np.shares_memory(mixture.means_, mixture.mixture_.means)


@pytest.mark.parametrize("name", COVARIANCES)
def test_the_history_of_parameters_is_that_of_shorter_fits(name, blobs):
    X, _ = blobs(n=200)
    options = {"covariance_type": name, "init_params": "random", "random_state": 1, "tol": 1e-9, "n_init": 2}
    with pytest.warns(ConvergenceWarning):
        fits = [GaussianMixture(3, max_iter=n, history="parameters", **options).fit(X) for n in range(1, 6)]
    history = fits[-1].history_
    assert [objectives.shape for objectives in history.objectives] == [(5,), (5,)]
    assert history.objectives[history.best].tolist() == fits[-1].lower_bounds_
    assert history.parameters["means"].shape == (5, 3, 3)
    for n, short in enumerate(fits):
        if short.history_.best == history.best:
            np.testing.assert_array_equal(history.parameters["weights"][n], short.weights_)
            np.testing.assert_array_equal(history.parameters["means"][n], short.means_)
            np.testing.assert_array_equal(history.parameters["covariances"][n], short.covariances_)
    np.testing.assert_array_equal(history.parameters["means"][-1], fits[-1].means_)


@pytest.mark.parametrize("name", COVARIANCES)
def test_rows_given_as_float32_are_answered_as_such(name, blobs):
    X, _ = blobs()
    single = GaussianMixture(3, covariance_type=name, random_state=0).fit(X.astype(np.float32))
    for attribute in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(single, attribute).dtype == np.float32
    assert single.mixture_.means.dtype == np.float64
    for verb in ("predict_proba", "score_samples", "transform"):
        assert getattr(single, verb)(X.astype(np.float32)).dtype == np.float32
        assert getattr(single, verb)(X).dtype == np.float64
    assert single.predict(X).dtype == np.int64
    assert single.sample()[0].dtype == np.float64


def test_verbose_tells_runs_and_iterations(blobs, capsys):
    X, _ = blobs()
    options = {"random_state": 0, "init_params": "random", "n_init": 2, "max_iter": 4, "verbose_interval": 2}
    with pytest.warns(ConvergenceWarning):
        GaussianMixture(3, verbose=1, **options).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "Initialization 1 of 2",
        "  Iteration 2",
        "  Iteration 4",
        "Initialization 1 did not converge.",
    ]
    assert len(lines) == 8
    with pytest.warns(ConvergenceWarning):
        mixture = GaussianMixture(3, verbose=2, **options).fit(X)
    assert f"objective {mixture.lower_bounds_[-1]:.8g}, change" in capsys.readouterr().out
    GaussianMixture(1).fit(X)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++"])
def test_a_start_may_see_some_of_the_rows(init_params, blobs):
    X, _ = blobs(n=2000, d=2, distance=4.0, seed=3)
    options = {"init_params": init_params, "random_state": 0, "max_iter": 300, "n_init": 4}
    whole = GaussianMixture(3, **options).fit(X)
    some, again = (GaussianMixture(3, init_size=100, **options).fit(X) for _ in range(2))
    np.testing.assert_array_equal(some.means_, again.means_)
    assert some.history_.objectives[0][0] != whole.history_.objectives[0][0]
    assert some.lower_bound_ == pytest.approx(whole.lower_bound_, abs=1e-2)
    for all_rows in (None, "auto", 2000):
        same = GaussianMixture(3, init_size=all_rows, **options).fit(X)
        np.testing.assert_array_equal(same.means_, whole.means_)


@pytest.mark.parametrize(("n_components", "rows"), [(1, 20_000), (100, 20_000), (200, 40_000)])
def test_auto_is_twenty_thousand_rows_or_two_hundred_a_component(n_components, rows):
    assert GaussianMixture(n_components)._init_size() == rows


def test_criteria_count_a_row_by_its_weight(blobs):
    X, _ = blobs(n=100)
    counts = np.random.default_rng(1).integers(0, 4, 100)
    mixture = GaussianMixture(2, random_state=0).fit(X, sample_weight=counts)
    repeated = np.repeat(X, counts, axis=0)
    for criterion in (mixture.aic, mixture.bic, mixture.score):
        assert criterion(X, sample_weight=counts) == pytest.approx(criterion(repeated), rel=1e-12)
    far = np.vstack([X, [[1e300] * 3]])
    assert mixture.bic(far, sample_weight=[*counts, 0]) == pytest.approx(mixture.bic(repeated), rel=1e-12)
