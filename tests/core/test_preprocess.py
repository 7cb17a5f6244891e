import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from core.affine import AffineMap, pull_back
from core.covariance import COVARIANCES
from core.errors import InvalidParameter, InvalidRows
from core.mixture import Mixture
from core.preprocess import check_preprocess, fit_preprocess


def correlated(rng, n=200, d=4):
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * [1, 10, 100, 0.1] + [0, 5, -1e3, 2]


def test_standardisation_is_scikit_learns(rng):
    X = correlated(rng)
    weight = rng.uniform(0.2, 3, 200)
    for sample_weight in (None, weight):
        theirs = StandardScaler().fit(X, sample_weight=sample_weight)
        ours = fit_preprocess(X, scale="standard", sample_weight=sample_weight)
        np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours.scale, theirs.scale_, rtol=1e-10)


@pytest.mark.parametrize("pca", [1, 3, 4, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("scale", ["none", "standard"])
@pytest.mark.parametrize("n", [200, 4])
def test_principal_components_are_scikit_learns(pca, scale, n, rng):
    X = correlated(rng, n)
    scaled = StandardScaler().fit_transform(X) if scale == "standard" else X
    theirs = PCA(pca, svd_solver="full").fit(scaled)
    ours = fit_preprocess(X, scale=scale, pca=pca)
    kept = theirs.explained_variance_ratio_ > 1e-12  # with n = 4 the last component is nothing but round-off
    assert ours.n_features_out == theirs.n_components_
    np.testing.assert_allclose(ours.rotation[kept], theirs.components_[kept], rtol=1e-6, atol=1e-7)
    assert (ours.rotation[np.arange(len(ours.rotation)), np.abs(ours.rotation).argmax(axis=1)] > 0).all()


def test_components_do_not_depend_on_chunks(rng, monkeypatch):
    X = correlated(rng, 1000)
    whole = fit_preprocess(X, "standard", 2)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 77)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MIN", 77)
    cut = fit_preprocess(X, "standard", 2)
    np.testing.assert_allclose(cut.rotation, whole.rotation, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cut.scale, whole.scale, rtol=1e-12)


def test_weights_count_like_repeated_rows(rng):
    X, counts = correlated(rng, 50), rng.integers(0, 4, 50)
    weighted = fit_preprocess(X, "standard", 2, counts)
    repeated = fit_preprocess(np.repeat(X, counts, axis=0), "standard", 2)
    np.testing.assert_allclose(weighted.rotation, repeated.rotation, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-11)


def test_a_constant_feature_keeps_its_scale(rng):
    X = rng.normal(size=(50, 3))
    X[:, 1] = 0.1
    X[:, 2] = 1e8 + 0.3
    scaled = fit_preprocess(X, "standard")
    np.testing.assert_array_equal(scaled.scale[1:], 1)
    np.testing.assert_allclose(scaled.transform(X)[:, 1:], 0, atol=1e-7)
    assert fit_preprocess(np.ones((5, 3)), "standard", 0.9).n_features_out == 1


def test_the_small_component_is_not_lost_to_squares(rng):
    # Its variance is 1e-20 of the first: through X ᵀX it would be round-off.
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = rng.normal(size=(300, 3)) * [1.0, 1e-3, 1e-10] @ Q
    np.testing.assert_allclose(np.abs(fit_preprocess(X, pca=3).rotation @ Q.T), np.eye(3), atol=1e-2)


@pytest.mark.parametrize("pca", [None, 4, 2])
def test_inverse_returns_what_was_retained(pca, rng):
    X = correlated(rng)
    fitted = fit_preprocess(X, "standard", pca)
    Z = fitted.transform(X)
    restored = fitted.inverse_transform(Z)
    np.testing.assert_allclose(fitted.transform(restored), Z, rtol=1e-8, atol=1e-9)
    assert fitted.is_invertible == (pca != 2)
    if fitted.is_invertible:
        np.testing.assert_allclose(restored, X, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("pca", [None, 4, 2])
def test_log_abs_det_is_the_matrix_s(pca, rng):
    fitted = fit_preprocess(correlated(rng), "standard", pca)
    A = fitted.transform(np.eye(4)) - fitted.transform(np.zeros((1, 4)))
    _, half = np.linalg.slogdet(A.T @ A)
    assert fitted.log_abs_det == pytest.approx(half / 2, rel=1e-9)
    assert AffineMap.identity(3).log_abs_det == 0


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize(("scale", "pca"), [("standard", None), ("standard", 4), ("none", 4), ("none", None)])
def test_pulling_back_keeps_the_distribution(name, scale, pca, rng):
    X = correlated(rng)
    fitted = fit_preprocess(X, scale, pca)
    A = rng.normal(size=(2, 4, 4))
    full = A @ A.transpose(0, 2, 1) + np.eye(4)
    covariances = {"full": full, "tied": full[0], "diag": rng.uniform(1, 2, (2, 4)), "spherical": np.array([1.0, 2])}
    mixture = Mixture.from_parameters([0.3, 0.7], rng.normal(size=(2, 4)), covariances[name], name)
    back = pull_back(mixture, fitted)
    expected = mixture.score_samples(fitted.transform(X)) + fitted.log_abs_det
    np.testing.assert_allclose(back.score_samples(X), expected, rtol=1e-8)
    np.testing.assert_allclose(back.predict_proba(X), mixture.predict_proba(fitted.transform(X)), atol=1e-9)
    widened = {"diag": "full", "spherical": "full"} if pca else {"spherical": "diag"} if scale == "standard" else {}
    assert back.covariance_type == widened.get(name, name)


def test_pulling_back_matches_scipy(rng):
    fitted = AffineMap(np.array([1.0, -2.0]), np.array([2.0, 5.0]))
    back = pull_back(Mixture.from_parameters([1.0], [[0.0, 1.0]], [[1.0, 4.0]], "diag"), fitted)
    X = rng.normal(size=(5, 2))
    np.testing.assert_allclose(back.score_samples(X), multivariate_normal([1, 3], np.diag([4.0, 100.0])).logpdf(X))


def test_pulling_back_what_lost_dimensions_is_refused(rng):
    fitted = fit_preprocess(correlated(rng), pca=2)
    with pytest.raises(InvalidParameter, match="loses dimensions"):
        pull_back(Mixture.from_parameters([1.0], [[0.0, 0.0]], [1.0], "spherical"), fitted)


@pytest.mark.parametrize("pca", [0, 5, -1, True, 0.0, 1.0, 1.5, np.nan, "2", [2]])
def test_wrong_counts_of_components_are_refused(pca, rng):
    with pytest.raises(InvalidParameter) as refused:
        fit_preprocess(correlated(rng), pca=pca)
    assert refused.value.name == "pca"


def test_wrong_maps_are_refused(rng):
    with pytest.raises(InvalidParameter, match="scale"):
        check_preprocess("minmax", None, 10, 2)
    with pytest.raises(InvalidParameter, match="min\\(rows, features\\) = 3"):
        check_preprocess("none", 4, 3, 10)
    with pytest.raises(InvalidParameter, match="positive"):
        AffineMap(np.zeros(2), np.array([1.0, 0.0]))
    with pytest.raises(InvalidParameter, match="orthonormal"):
        AffineMap(np.zeros(2), np.ones(2), np.ones((2, 2)))
    with pytest.raises(InvalidRows, match="X has 3 features"):
        AffineMap.identity(2).transform(np.zeros((1, 3)))


@pytest.mark.parametrize("pca", [1, 3, 0.9])
def test_whitening_is_scikit_learns(pca, rng):
    X = correlated(rng)
    theirs = PCA(pca, svd_solver="full", whiten=True).fit(X)
    ours = fit_preprocess(X, pca=pca, whiten=True)
    expected = theirs.transform(X) * np.sign((theirs.components_ * ours.rotation).sum(axis=1))
    np.testing.assert_allclose(ours.transform(X), expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(np.cov(ours.transform(X).T), np.eye(ours.n_features_out), atol=1e-9)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(X)), theirs.inverse_transform(theirs.transform(X)), rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("pca", [2, 4])
def test_densities_survive_whitening(name, pca, rng):
    X = correlated(rng)
    fitted = fit_preprocess(X, "standard", pca, whiten=True)
    A = (fitted.transform(np.eye(4)) - fitted.transform(np.zeros((1, 4)))).T
    assert fitted.log_abs_det == pytest.approx(np.linalg.slogdet(A @ A.T)[1] / 2, rel=1e-9)
    if not fitted.is_invertible:
        return
    shape = COVARIANCES[name].shape(1, 4)
    covariances = np.eye(4).reshape(shape) if name in ("full", "tied") else np.ones(shape)
    mixture = Mixture.from_parameters([1.0], np.zeros((1, 4)), covariances, name)
    expected = multivariate_normal(X.mean(axis=0), np.cov(X.T)).logpdf(X)
    np.testing.assert_allclose(pull_back(mixture, fitted).score_samples(X), expected, rtol=1e-8)
    np.testing.assert_allclose(mixture.score_samples(fitted.transform(X)) + fitted.log_abs_det, expected, rtol=1e-8)


def test_a_component_without_variance_is_not_whitened_into_noise():
    X = np.outer(np.arange(6.0), [1.0, 2.0, 0.0])
    Z = fit_preprocess(X, pca=3, whiten=True).transform(X)
    np.testing.assert_allclose(Z[:, 1:], 0, atol=1e-12)
    with pytest.raises(InvalidParameter, match="give pca"):
        fit_preprocess(X, whiten=True)
    with pytest.raises(InvalidParameter, match="True or False"):
        fit_preprocess(X, pca=2, whiten=1)


def test_float32_rows_stay_float32(rng):
    X = correlated(rng)
    fitted = fit_preprocess(X, "standard", 3, whiten=True)
    Z = fitted.transform(X.astype(np.float32))
    assert Z.dtype == fitted.inverse_transform(Z).dtype == np.float32
    np.testing.assert_allclose(Z, fitted.transform(X), atol=1e-3)
