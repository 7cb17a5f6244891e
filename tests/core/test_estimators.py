"""What the estimators have in common: starts, runs, seeds, warnings, samples, pickles."""

import numpy as np
import pytest
import sklearn.base
import sklearn.cluster
import sklearn.mixture

from core.covariance import COVARIANCES
from core.errors import ConvergenceWarning, InvalidParameter
from core.estimators import GaussianMixture, KMeans


@pytest.mark.parametrize("ours", [GaussianMixture, KMeans])
def test_parameters_and_defaults_are_scikit_learns(ours):
    theirs = {GaussianMixture: sklearn.mixture.GaussianMixture, KMeans: sklearn.cluster.KMeans}[ours]
    assert ours().get_params() | theirs().get_params() == ours().get_params()
    beyond = {"patience", "init_size", "history", "short_iter", "step_decay", "step_offset"}
    assert set(ours().get_params()) - set(theirs().get_params()) <= beyond
    assert sklearn.base.clone(ours(3, random_state=1)).get_params()["random_state"] == 1


def test_set_params_refuses_what_is_not_one():
    assert KMeans().set_params(n_clusters=3).n_clusters == 3
    with pytest.raises(InvalidParameter, match="not a parameter of KMeans"):
        KMeans().set_params(k=3)
    assert repr(GaussianMixture(3, tol=0.1)) == "GaussianMixture(n_components=3, tol=0.1)"


def test_one_row_makes_one_component():
    mixture = GaussianMixture(1).fit([[1.0, 2.0]])
    np.testing.assert_array_equal(mixture.means_, [[1.0, 2.0]])
    np.testing.assert_allclose(mixture.covariances_, [1e-6 * np.eye(2)])
    assert KMeans(1).fit([[1.0, 2.0]]).inertia_ == 0


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


def test_a_score_does_not_ask_rows_of_weight_zero():
    mixture = GaussianMixture(1).fit([[0.0], [1.0]])
    assert mixture.score([[0.5], [1e300]], sample_weight=[1.0, 0.0]) == mixture.score([[0.5]])
