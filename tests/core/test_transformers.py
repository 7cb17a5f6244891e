import pickle
import warnings

import numpy as np
import pytest
import sklearn.decomposition
import sklearn.preprocessing
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from core import PCA, GaussianMixture, InvalidParameter, InvalidRows, NotFittedError, StandardScaler

# Of rows fewer than features: a principal component without variance has no direction of its own.
NOT_OURS = {"check_sample_weight_equivalence_on_dense_data": "the last component has no variance"}


def correlated(rng, n=200, d=4):
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * [1, 10, 100, 0.1] + [0, 5, -1e3, 2]


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA()])
def test_scikit_learn_accepts_them(transformer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = check_estimator(transformer, on_skip=None, on_fail=None, expected_failed_checks=NOT_OURS)
    assert not {check["check_name"]: check["exception"] for check in checks if check["status"] == "failed"}
    assert sum(check["status"] == "passed" for check in checks) >= 40


@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}])
@pytest.mark.parametrize("weighted", [False, True])
def test_standardisation_is_scikit_learns(options, weighted, rng):
    X = correlated(rng)
    weight = rng.uniform(0.2, 3, 200) if weighted else None
    ours = StandardScaler(**options).fit(X, sample_weight=weight)
    theirs = sklearn.preprocessing.StandardScaler(**options).fit(X, sample_weight=weight)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-10)
    if options != {"with_std": False}:
        np.testing.assert_allclose(ours.var_, theirs.var_, rtol=1e-10)
        np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-10)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, rtol=1e-12)


@pytest.mark.parametrize("n_components", [None, 1, 3, 0.5, 0.999])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n", [200, 4])
def test_principal_components_are_scikit_learns(n_components, whiten, n, rng):
    X = correlated(rng, n)
    ours = PCA(n_components, whiten=whiten).fit(X)
    theirs = sklearn.decomposition.PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    assert ours.n_components_ == theirs.n_components_
    real = theirs.explained_variance_ratio_ > 1e-12  # with n = 4 the last component is nothing but round-off
    for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
        np.testing.assert_allclose(getattr(ours, name)[real], getattr(theirs, name)[real], rtol=1e-8)
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.components_[real], (theirs.components_ * signs[:, None])[real], atol=1e-7)
    np.testing.assert_allclose(ours.transform(X)[:, real], (theirs.transform(X) * signs)[:, real], atol=1e-6)
    if ours.n_components_ == 4:
        np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, rtol=1e-9, atol=1e-8)


def test_a_density_moves_by_the_log_determinant(rng):
    X = correlated(rng)
    for transformer in (StandardScaler(), PCA(whiten=True)):
        Z = transformer.fit_transform(X)
        mixture = GaussianMixture(1, reg_covar=0).fit(Z)
        direct = GaussianMixture(1, reg_covar=0).fit(X)
        expected = direct.score_samples(X)
        np.testing.assert_allclose(mixture.score_samples(Z) + transformer.log_abs_det_, expected, rtol=1e-9)


def test_integer_weights_count_like_repeated_rows(rng):
    X, counts = correlated(rng), rng.integers(0, 4, 200)
    repeated = np.repeat(X, counts, axis=0)
    for transformer in (StandardScaler(), PCA(3), PCA(3, whiten=True)):
        weighted = clone(transformer).fit(X, sample_weight=counts)
        np.testing.assert_allclose(
            weighted.transform(X), clone(transformer).fit(repeated).transform(X), rtol=1e-7, atol=1e-9
        )


def test_they_stand_in_a_pipeline(rng):
    X = correlated(rng)
    pipeline = make_pipeline(StandardScaler(), PCA(2), GaussianMixture(2, random_state=0)).fit(X)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(X), pipeline.predict(X))
    assert not hasattr(clone(pipeline)[0], "mean_")
    assert pipeline[:2].get_feature_names_out().tolist() == ["pca0", "pca1"]
    np.testing.assert_array_equal(StandardScaler().fit(X).get_feature_names_out(), ["x0", "x1", "x2", "x3"])


@pytest.mark.parametrize("n_components", [0, 5, -1, True, 0.0, 1.0, 1.5, np.nan, "2", [2]])
def test_a_wrong_number_of_components_is_named(n_components, rng):
    with pytest.raises(InvalidParameter) as refused:
        PCA(n_components).fit(correlated(rng))
    assert refused.value.name == "n_components"


@pytest.mark.parametrize("name", ["with_mean", "with_std", "copy"])
def test_a_switch_is_true_or_false(name, rng):
    with pytest.raises(InvalidParameter, match=name):
        StandardScaler(**{name: 1}).fit(correlated(rng))


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA()])
def test_rows_are_checked(transformer, rng):
    with pytest.raises(NotFittedError):
        transformer.transform(correlated(rng))
    with pytest.raises(NotFittedError):
        transformer.inverse_transform(correlated(rng))
    with pytest.raises(InvalidRows, match="NaN"):
        transformer.fit([[0.0, np.nan]])
    fitted = clone(transformer).fit(correlated(rng).astype(np.float32))
    assert fitted.transform(correlated(rng).astype(np.float32)).dtype == np.float32
    with pytest.raises(InvalidRows, match="4 features"):
        fitted.transform(np.zeros((2, 3)))
