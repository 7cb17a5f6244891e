import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from core.covariance import COVARIANCES, Diag, Full, Spherical, Tied
from core.errors import CollapsedComponent, Diverged, InvalidParameter

K, D = 3, 4


def spd(rng, d=D):
    A = rng.normal(size=(d, d + 2))
    return A @ A.T / d


def given_covariances(name, rng, k=K, d=D):
    if name == "full":
        return np.stack([spd(rng, d) for _ in range(k)])
    if name == "tied":
        return spd(rng, d)
    return rng.uniform(0.2, 3.0, size=(k, d) if name == "diag" else (k,))


def dense(name, covariances, component, d=D):
    """The component's covariance as a matrix."""
    if name == "full":
        return covariances[component]
    if name == "tied":
        return covariances
    return np.diag(np.broadcast_to(covariances[component], (d,)))


@pytest.mark.parametrize("name", COVARIANCES)
def test_density_matches_scipy(name, rng):
    covariances = given_covariances(name, rng)
    means = rng.normal(size=(K, D)) * 3
    X = rng.normal(size=(50, D)) * 4
    structure = COVARIANCES[name].from_covariances(covariances, K, D)
    ours = -0.5 * (D * np.log(2 * np.pi) + structure.squared_mahalanobis(X, means)) + structure.log_det
    for component in range(K):
        oracle = multivariate_normal(means[component], dense(name, covariances, component)).logpdf(X)
        np.testing.assert_allclose(ours[:, component], oracle, rtol=1e-11)


@pytest.mark.parametrize("name", COVARIANCES)
def test_precisions_are_inverses_and_give_the_covariances_back(name, rng):
    covariances = given_covariances(name, rng)
    structure = COVARIANCES[name].from_covariances(covariances, K, D)
    for component in range(K):
        product = dense(name, covariances, component) @ dense(name, structure.precisions, component)
        np.testing.assert_allclose(product, np.eye(D), atol=1e-10)
    again = COVARIANCES[name].from_precisions(structure.precisions, K, D)
    np.testing.assert_allclose(again.covariances, covariances, rtol=1e-9)
    np.testing.assert_allclose(again.precisions_cholesky, structure.precisions_cholesky, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", COVARIANCES)
def test_colour_undoes_whiten(name, rng):
    structure = COVARIANCES[name].from_covariances(given_covariances(name, rng), K, D)
    Z = rng.normal(size=(7, D))
    for component in range(K):
        np.testing.assert_allclose(structure.whiten(component, structure.colour(component, Z)), Z, atol=1e-10)


@pytest.mark.parametrize("name", COVARIANCES)
def test_estimate_is_the_weighted_covariance(name, rng):
    X, resp = rng.normal(size=(60, D)) * 2 + 1, rng.dirichlet(np.ones(K), size=60)
    counts = resp.sum(axis=0)
    means = resp.T @ X / counts[:, None]
    structure = COVARIANCES[name]
    result = structure.estimate(counts, structure.scatter(X, resp, means), means, 1e-3)
    each = np.stack([np.cov(X.T, aweights=resp[:, k], ddof=0) for k in range(K)])
    variances = np.diagonal(each, axis1=1, axis2=2)
    expected = {
        "full": each + 1e-3 * np.eye(D),
        "tied": np.tensordot(counts, each, 1) / 60 + 1e-3 * np.eye(D),
        "diag": variances + 1e-3,
        "spherical": variances.mean(axis=1) + 1e-3,
    }[name]
    np.testing.assert_allclose(result.covariances, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", COVARIANCES)
def test_spread_is_the_scatter_of_moved_means(name, rng):
    structure = COVARIANCES[name]
    X, resp = rng.normal(size=(30, D)), rng.dirichlet(np.ones(K), size=30)
    counts = resp.sum(axis=0)
    means = resp.T @ X / counts[:, None]
    deltas = rng.normal(size=(K, D))
    moved = structure.scatter(X, resp, means + deltas)
    np.testing.assert_allclose(moved, structure.scatter(X, resp, means) + structure.spread(counts, deltas), rtol=1e-9)


@given(st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_count_of_parameters(k, d):
    assert Full.count(k, d) == k * len(np.tril_indices(d)[0])
    assert Tied.count(k, d) == len(np.tril_indices(d)[0])
    assert Diag.count(k, d) == k * d
    assert Spherical.count(k, d) == k
    for structure in COVARIANCES.values():
        ones = structure.shape(k, d)
        assert np.prod(ones) >= structure.count(k, d)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("rotated", [False, True])
def test_mapped_has_the_covariance_of_mapped_samples(name, rotated, rng):
    covariances = given_covariances(name, rng)
    structure = COVARIANCES[name].from_covariances(covariances, K, D)
    scale = rng.uniform(0.5, 2, D)
    R = np.linalg.qr(rng.normal(size=(D, D)))[0] if rotated else np.eye(D)
    mapped = structure.mapped(scale, R if rotated else None)
    B = scale[:, None] * R.T
    for component in range(K):
        expected = B @ dense(name, covariances, component) @ B.T
        np.testing.assert_allclose(dense(mapped.name, mapped.covariances, component), expected, rtol=1e-10, atol=1e-12)
    widened = {"full": "full", "tied": "tied", "diag": "diag", "spherical": "diag"}
    assert mapped.name == ("full" if rotated and name in ("diag", "spherical") else widened[name])


def test_a_singular_matrix_names_component_and_feature():
    singular = np.diag([1.0, 2.0, 0.0, 3.0])
    with pytest.raises(InvalidParameter, match=r"component 1 .*feature 2") as refused:
        Full.from_covariances(np.stack([np.eye(D), singular]), 2, D)
    assert refused.value.name == "covariances"
    with pytest.raises(CollapsedComponent) as collapsed:
        Full.estimate(np.ones(2), np.stack([np.eye(D), singular]), np.zeros((2, D)), 0.0)
    assert (collapsed.value.component, collapsed.value.feature) == (1, 2)
    with pytest.raises(CollapsedComponent) as collapsed:
        Diag.estimate(np.ones(2), np.array([[1.0, 1.0], [1.0, 0.0]]), np.zeros((2, 2)), 0.0)
    assert (collapsed.value.component, collapsed.value.feature) == (1, 1)
    with pytest.raises(CollapsedComponent) as collapsed:
        Spherical.estimate(np.ones(2), np.array([1.0, 0.0]), np.zeros((2, 2)), 0.0)
    assert (collapsed.value.component, collapsed.value.feature) == (1, None)


def test_collinear_features_are_singular_even_where_round_off_leaves_a_pivot(rng):
    x = rng.normal(size=200)
    X = np.stack([x, rng.normal(size=200), 3 * x], axis=1)
    with pytest.raises(CollapsedComponent) as collapsed:
        Full.estimate(
            np.array([200.0]), Full.scatter(X, np.ones((200, 1)), X.mean(axis=0)[None]), np.zeros((1, 3)), 0.0
        )
    assert collapsed.value.feature == 2


def test_an_overflowed_covariance_is_named():
    with pytest.raises(Diverged, match="above the largest float"):
        Diag.estimate(np.ones(1), np.array([[np.inf]]), np.zeros((1, 1)), 0.0)


def test_asymmetric_matrices_are_refused():
    matrix = np.array([[1.0, 0.5], [0.2, 1.0]])
    for structure, value in ((Tied, matrix), (Full, matrix[None])):
        with pytest.raises(InvalidParameter, match="symmetric"):
            structure.from_covariances(value, 1, 2)
        with pytest.raises(InvalidParameter, match="symmetric"):
            structure.from_precisions(value, 1, 2)


@pytest.mark.parametrize("name", COVARIANCES)
def test_nonpositive_precisions_are_refused(name):
    value = -np.ones(COVARIANCES[name].shape(2, 2)) + (0 if name in ("diag", "spherical") else -np.eye(2))
    with pytest.raises(InvalidParameter, match=r"must be positive definite; .* is not"):
        COVARIANCES[name].from_precisions(value, 2, 2)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_distances_to_near_and_to_distant_means_are_residuals_whitened(name, offset, rng):
    structure = COVARIANCES[name].from_covariances(given_covariances(name, rng), K, D)
    # The last mean is too far from the others to share a product with them.
    means = rng.normal(size=(K, D)) * 3 + np.array([[0.0], [0.0], [1e5]]) + offset
    X = np.concatenate([means[labels] + rng.normal(size=(2_500, D)) for labels in range(K)])
    expected = np.stack([(structure.whiten(k, X - mean) ** 2).sum(axis=1) for k, mean in enumerate(means)], axis=1)
    np.testing.assert_allclose(structure.squared_mahalanobis(X, means), expected, rtol=1e-9, atol=1e-11)
    if name in ("full", "tied"):
        squares = structure.squares_about(means)
        assert (squares.near.tolist(), squares.distant.tolist()) == ([0, 1], [2])
