from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from core.covariance import COVARIANCES
from core.errors import CollapsedComponent, InvalidParameter, InvalidRows
from core.mixture import Mixture, combine, e_step, m_step, statistics_of
from core.rows import Chunk, chunk_rows, map_reduce


def mixture_of(name, rng, k=3, d=2):
    A = rng.normal(size=(k, d, d))
    full = A @ A.transpose(0, 2, 1) + 0.5 * np.eye(d)
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": rng.uniform(0.3, 2, (k, d)),
        "spherical": rng.uniform(0.3, 2, k),
    }[name]
    return Mixture.from_parameters(rng.dirichlet(np.full(k, 5.0)), rng.normal(size=(k, d)) * 3, covariances, name)


def full_covariances(mixture):
    k, d = mixture.n_components, mixture.n_features
    c = mixture.covariances
    if mixture.covariance_type == "full":
        return c
    if mixture.covariance_type == "tied":
        return np.stack([c] * k)
    return np.stack([np.diag(np.broadcast_to(row, (d,))) for row in c])


@pytest.mark.parametrize("name", COVARIANCES)
def test_densities_and_responsibilities_match_scipy(name, rng):
    mixture = mixture_of(name, rng)
    X = rng.normal(size=(40, 2)) * 4
    terms = np.stack(
        [
            multivariate_normal(mean, covariance).logpdf(X)
            for mean, covariance in zip(mixture.means, full_covariances(mixture), strict=True)
        ],
        axis=1,
    )
    np.testing.assert_allclose(mixture.log_prob(X), terms, rtol=1e-11)
    weighted = terms + np.log(mixture.weights)
    log_density = logsumexp(weighted, axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), log_density, rtol=1e-12)
    np.testing.assert_allclose(mixture.predict_proba(X), np.exp(weighted - log_density[:, None]), rtol=1e-9)
    np.testing.assert_array_equal(mixture.predict(X), weighted.argmax(axis=1))


def test_mahalanobis_is_scipys(rng):
    from scipy.spatial.distance import mahalanobis

    mixture = mixture_of("full", rng)
    X = rng.normal(size=(5, 2))
    expected = [
        [mahalanobis(x, m, np.linalg.inv(c)) for m, c in zip(mixture.means, mixture.covariances, strict=True)]
        for x in X
    ]
    np.testing.assert_allclose(mixture.mahalanobis(X), expected, rtol=1e-10)


def test_density_integrates_to_one_in_one_dimension():
    mixture = Mixture.from_parameters([0.2, 0.5, 0.3], [[-3.0], [0.0], [2.0]], [0.5, 1.0, 2.0], "spherical")
    total, _ = quad(lambda x: float(np.exp(mixture.score_samples([[x]])[0])), -20, 20, points=[-3, 0, 2], limit=200)
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_density_integrates_to_one_in_two_dimensions(name):
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    covariances = np.stack([covariance, np.eye(2)]) if name == "full" else covariance
    mixture = Mixture.from_parameters([0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], covariances, name)
    total, _ = dblquad(
        lambda y, x: float(np.exp(mixture.score_samples([[x, y]])[0])), -9, 9, -11, 11, epsabs=1e-5, epsrel=1e-5
    )
    assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", COVARIANCES)
def test_samples_have_the_moments_of_their_components(name, rng):
    mixture = mixture_of(name, rng)
    X, labels = mixture.sample(200_000, rng)
    shares = np.bincount(labels, minlength=3) / len(X)
    np.testing.assert_allclose(shares, mixture.weights, atol=6 * np.sqrt(0.25 / len(X)))
    for component, covariance in enumerate(full_covariances(mixture)):
        rows = X[labels == component]
        # Six standard errors of a mean, and of a product of two Gaussians.
        scale = np.sqrt(np.diag(covariance) / len(rows))
        assert (np.abs(rows.mean(axis=0) - mixture.means[component]) < 6 * scale).all()
        size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / len(rows))
        assert (np.abs(np.cov(rows.T) - covariance) < 6 * size).all()


def test_sampling_is_reproducible_and_counts_are_checked(rng):
    mixture = mixture_of("full", rng)
    first, second = (mixture.sample(50, np.random.default_rng(4))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for bad in (0, -1, 2.5, True, "3", None):
        with pytest.raises(InvalidParameter) as refused:
            mixture.sample(bad, rng)
        assert refused.value.name == "n_samples"


FAR = [[1e200, 0.0], [-1e200, 1e200], [1e308, -1e308], [0.0, -1e160], [1e155, 1e155], [0.5, 0.5]]


@pytest.mark.parametrize("name", COVARIANCES)
def test_responsibilities_of_rows_far_away(name, rng):
    mixture = mixture_of(name, rng)
    proba = mixture.predict_proba(FAR)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert not np.isnan(mixture.score_samples(FAR)).any()
    assert not np.isnan(mixture.mahalanobis(FAR)).any()
    assert np.isfinite(mixture.mahalanobis(FAR[:2])).all()


@pytest.mark.parametrize("name", ["tied", "spherical"])
def test_the_right_component_owns_a_row_far_away(name):
    # With a shared metric the boundary is a hyperplane: the side of it decides, at any distance.
    covariances = np.eye(2) if name == "tied" else np.ones(2)
    mixture = Mixture.from_parameters([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], covariances, name)
    rows = [[1e200, 3.0], [-1e200, 3.0], [1e180, -1e200], [-1e180, -1e200]]
    np.testing.assert_array_equal(mixture.predict(rows), [1, 0, 1, 0])
    # On it, as far as floats can tell, weights and the small coordinate are all there is.
    np.testing.assert_allclose(mixture.predict_proba([[0.0, 1e200]]), [[0.5, 0.5]])


def test_the_wider_component_owns_the_far_rows():
    mixture = Mixture.from_parameters([0.999, 0.001], [[0.0], [0.0]], [1.0, 1.5], "spherical")
    np.testing.assert_array_equal(mixture.predict([[1e200], [-1e300], [0.0]]), [1, 1, 0])


def test_a_component_of_weight_zero_owns_nothing():
    mixture = Mixture.from_parameters([1.0, 0.0], [[0.0], [5.0]], [1.0, 9.0], "spherical")
    np.testing.assert_array_equal(mixture.predict_proba([[0.0], [5.0], [50.0], [1e200]])[:, 1], 0)


def test_statistics_do_not_depend_on_where_rows_are_cut(rng):
    X, weight = rng.normal(size=(101, 3)) * 2 + 7, rng.uniform(0.5, 2, 101)
    mixture = Mixture.from_parameters([0.3, 0.7], [[6.0] * 3, [8.0] * 3], np.stack([np.eye(3)] * 2), "full")
    structure = type(mixture.covariance)
    whole = e_step(mixture, Chunk(X, weight, 0))
    parts = [Chunk(X[a:b], weight[a:b], a) for a, b in ((0, 1), (1, 40), (40, 101))]
    cut = map_reduce(lambda chunk: e_step(mixture, chunk), parts, lambda a, b: combine(structure, a, b))
    for name in ("log_likelihood", "total", "counts", "means", "scatter"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("cuts", [1, 7])
def test_an_offset_does_not_change_covariances(name, cuts, rng):
    # Multiples of 2⁻²⁰ below 32: the shifted rows are the same numbers, so any difference is the algorithm's.
    X = np.round(rng.normal(size=(500, 3)) * 2**20) / 2**20
    resp = rng.dirichlet(np.ones(2), size=500)
    structure = COVARIANCES[name]

    def fitted(rows):
        parts = zip(np.array_split(rows, cuts), np.array_split(resp, cuts), strict=True)
        statistics = [statistics_of(structure, *part, 0.0) for part in parts]
        total = statistics[0]
        for other in statistics[1:]:
            total = combine(structure, total, other)
        return m_step(structure, total, 0.0)

    plain, shifted = fitted(X), fitted(X + 1e8)
    # The mean itself has to be rounded to a float near 1e8: that much, squared, is all that is lost.
    np.testing.assert_allclose(shifted.covariances, plain.covariances, atol=1e-13)
    np.testing.assert_allclose(shifted.means - 1e8, plain.means, atol=3e-8)


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(6, 60),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    name=st.sampled_from(sorted(COVARIANCES)),
)
@settings(max_examples=60, deadline=None)
def test_em_never_lowers_the_bound_and_weights_sum_to_one(seed, n, d, k, name):
    rng = np.random.default_rng(seed)
    X, weight = rng.standard_t(3, size=(n, d)), rng.uniform(0.1, 3, n)
    structure = COVARIANCES[name]
    chunks = chunk_rows(X, weight, k)
    resp = rng.dirichlet(np.ones(k), size=n) * weight[:, None]
    previous = -np.inf
    statistics = statistics_of(structure, X, resp, 0.0)
    for _ in range(15):
        try:
            mixture = m_step(structure, statistics, 0.0)
        except CollapsedComponent:
            return
        assert mixture.weights.sum() == pytest.approx(1, abs=1e-12)
        statistics = e_step(mixture, chunks[0])
        bound = statistics.log_likelihood / statistics.total
        assert bound >= previous - 1e-9 * max(1, abs(bound))
        previous = bound


def test_a_component_without_rows_waits_with_weight_zero(rng):
    X = rng.normal(size=(20, 2)) + 5
    resp = np.zeros((20, 2))
    resp[:, 0] = 1
    for structure in COVARIANCES.values():
        mixture = m_step(structure, statistics_of(structure, X, resp, 0.0), 1e-6)
        np.testing.assert_array_equal(mixture.weights, [1, 0])
        np.testing.assert_allclose(mixture.means[1], X.mean(axis=0))
        assert np.isfinite(mixture.score_samples(X)).all()
    with pytest.raises(CollapsedComponent) as collapsed:
        m_step(COVARIANCES["full"], statistics_of(COVARIANCES["full"], X, resp, 0.0), 0.0)
    assert collapsed.value.component == 1


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"weights": [0.5, 0.6]}, "weights"),
        ({"weights": [1.5, -0.5]}, "weights"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [0.5, float("nan")]}, "weights"),
        ({"means": [[0.0, 0.0]]}, "weights"),
        ({"means": [[0.0, float("inf")], [0.0, 0.0]]}, "means"),
        ({"means": [0.0, 1.0]}, "means"),
        ({"means": "far"}, "means"),
        ({"means": [[0.0, 1.0], [2.0]]}, "means"),
        ({"means": [[], []]}, "means"),
        ({"covariances": np.ones((2, 2))}, "covariances"),
        ({"covariances": np.zeros((2, 2, 2))}, "covariances"),
        ({"covariance_type": "diagonal"}, "covariance_type"),
        ({"covariance_type": None}, "covariance_type"),
    ],
)
def test_wrong_parameters_are_named(changed, name):
    parameters = {
        "weights": [0.5, 0.5],
        "means": [[0.0, 0.0], [1.0, 1.0]],
        "covariances": np.stack([np.eye(2)] * 2),
        "covariance_type": "full",
    }
    Mixture.from_parameters(**parameters)
    with pytest.raises(InvalidParameter) as refused:
        Mixture.from_parameters(**(parameters | changed))
    assert refused.value.name == name
    assert name in str(refused.value)


def test_rows_of_another_width_are_refused(rng):
    with pytest.raises(InvalidRows, match="X has 3 features"):
        mixture_of("full", rng).predict(np.zeros((1, 3)))


def test_number_of_parameters(rng):
    counts = {name: mixture_of(name, rng, k=3, d=2).n_parameters for name in COVARIANCES}
    assert counts == {"full": 17, "tied": 11, "diag": 14, "spherical": 11}


@pytest.mark.parametrize("offset", [0.0, 2.0**27])
@pytest.mark.parametrize("name", COVARIANCES)
def test_responsibilities_are_right_at_every_distance(name, offset):
    """Against exact arithmetic: squared distances as fractions."""
    means = np.array([[-1.0, 0.0], [1.0, 0.5], [0.0, 3.0]]) + offset
    variances = {
        "tied": np.full((3, 2), 0.25),
        "spherical": np.array([[1.0, 1.0], [0.25, 0.25], [4.0, 4.0]]),
    }.get(name, np.array([[1.0, 0.25], [0.25, 1.0], [4.0, 1.0]]))
    covariances = {
        "full": np.stack([np.diag(each) for each in variances]),
        "tied": np.diag(variances[0]),
        "diag": variances,
        "spherical": variances[:, 0],
    }[name]
    weights = np.array([0.25, 0.25, 0.5])
    mixture = Mixture.from_parameters(weights, means, covariances, name)
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.3], [0.2, -1.0]])
    for exponent in range(-3, 305, 4):
        for x in directions * 10.0**exponent + offset:
            squares = [
                sum((Fraction(a) - Fraction(b)) ** 2 / Fraction(v) for a, b, v in zip(x, mean, each, strict=True))
                for mean, each in zip(means, variances, strict=True)
            ]
            beyond = [float(min(square - min(squares), Fraction(10**6))) for square in squares]
            terms = np.log(weights) - 0.5 * np.log(variances).sum(axis=1) - 0.5 * np.array(beyond)
            expected = np.exp(terms - terms.max())
            np.testing.assert_allclose(mixture.predict_proba([x])[0], expected / expected.sum(), atol=1e-14)


def test_equal_components_share_a_row_however_far():
    # log 2 is nothing beside a log-density of −10²⁰: added to it, the shares would sum to 2.
    mixture = Mixture.from_parameters([0.5, 0.5], [[0.0], [0.0]], [[1.0]], "tied")
    np.testing.assert_array_equal(mixture.predict_proba([[1e5], [1e9], [1e100], [1e200]]), 0.5)


@pytest.mark.parametrize("name", COVARIANCES)
def test_distances_that_overflow_are_infinite_and_never_nan(name):
    covariances = {"full": [[[1.0, 0.99], [0.99, 1.0]]], "tied": [[1.0, 0.99], [0.99, 1.0]]}.get(name, [[1e-9, 1.0]])
    covariances = [1e-9] if name == "spherical" else covariances
    mixture = Mixture.from_parameters([1.0], [[0.0, 0.0]], covariances, name)
    distances = mixture.mahalanobis([[1.7e308, 1.7e308], [1.7e308, -1.7e308]])
    assert not np.isnan(distances).any()
    assert np.isinf(distances[1])


def test_a_component_alone_with_one_row_has_collapsed():
    # Two components end at one row; the round-off of their mean would leave them a spike of variance 1e-32.
    rng = np.random.default_rng(1)
    X, weight = rng.standard_t(3, size=(6, 3)), rng.uniform(0.1, 3, 6)
    resp = rng.dirichlet(np.ones(3), size=6) * weight[:, None]
    statistics = statistics_of(COVARIANCES["spherical"], X, resp, 0.0)
    for _ in range(3):
        statistics = e_step(m_step(COVARIANCES["spherical"], statistics, 0.0), Chunk(X, weight, 0))
    with pytest.raises(CollapsedComponent) as collapsed:
        m_step(COVARIANCES["spherical"], statistics, 0.0)
    assert collapsed.value.component in (0, 1)
    assert 0 < collapsed.value.variance <= collapsed.value.bound < 1e-28


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_variance_without_all_its_digits_is_refused(name):
    X = np.random.default_rng(0).normal(size=(50, 2)) * 1e-158
    statistics = statistics_of(COVARIANCES[name], X, np.ones((50, 1)), 0.0)
    with pytest.raises(CollapsedComponent, match=r"e-31\d and must be above 2.23e-308"):
        m_step(COVARIANCES[name], statistics, 0.0)


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_row_of_another_component_cannot_overflow(name):
    X = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0], [1e200, 0.0]])
    resp = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    result = m_step(COVARIANCES[name], statistics_of(COVARIANCES[name], X, resp, 0.0), 1e-6)
    assert np.isfinite(result.covariances).all()
