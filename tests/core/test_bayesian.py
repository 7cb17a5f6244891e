import itertools
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.base
import sklearn.mixture
from scipy.special import betaln, gammaln, logsumexp, psi
from scipy.stats import gamma, norm
from scipy.stats import wishart as wishart_distribution

from core import BayesianGaussianMixture, CollapsedComponent, ConvergenceWarning, Diverged, InvalidParameter, State
from core.bayesian import VariationalBayes, entropy
from core.concentration import CONCENTRATIONS
from core.covariance import COVARIANCES
from core.expectation import Expectation
from core.mixture import statistics_of
from core.posterior import update
from core.prior import Prior
from core.wishart import log_normaliser as wishart_log_normaliser

COMBINATIONS = list(itertools.product(CONCENTRATIONS, COVARIANCES))
combinations = pytest.mark.parametrize(("weights", "name"), COMBINATIONS)
GRID = 2.0**20


def full(covariances, name, k, d):
    """Covariances of any structure as k matrices."""
    if name == "full":
        return np.broadcast_to(covariances, (k, d, d))
    if name == "tied":
        return np.stack([covariances] * k)
    return np.stack(
        [np.diag(np.broadcast_to(row, (d,))) for row in np.broadcast_to(covariances, (k, *covariances.shape[1:]))]
    )


def bound_term_by_term(X, weight, resp, model):
    """Bishop 2006, eq. 10.70–10.77, as printed, with Wₖ and νₖ of each component; the stick as in Blei & Jordan 2006.

    `model` has the attributes `READ` of a fitted estimator; resp (n, k) are any responsibilities.
    """
    k, d = model.means_.shape
    name = model.covariance_type
    nu0, beta0, m0 = model.degrees_of_freedom_prior_, model.mean_precision_prior_, model.mean_prior_
    prior_covariance = np.asarray(model.covariance_prior_)
    W0_inverse = full(prior_covariance[None] if name != "tied" else prior_covariance, name, 1, d)[0]
    nu = np.broadcast_to(model.degrees_of_freedom_, (k,))
    beta, m = model.mean_precision_, model.means_
    W = np.stack([np.linalg.inv(c) / n for c, n in zip(full(model.covariances_, name, k, d), nu, strict=True)])

    def log_b(W, nu):
        gammas = sum(gammaln((nu + 1 - i) / 2) for i in range(1, d + 1))
        return -nu / 2 * np.linalg.slogdet(W)[1] - (nu * d / 2 * np.log(2) + d * (d - 1) / 4 * np.log(np.pi) + gammas)

    log_det = np.array(
        [
            sum(psi((nu[j] + 1 - i) / 2) for i in range(1, d + 1)) + d * np.log(2) + np.linalg.slogdet(W[j])[1]
            for j in range(k)
        ]
    )
    concentration0 = model.weight_concentration_prior_
    if model.weight_concentration_prior_type == "dirichlet_distribution":
        alpha = model.weight_concentration_
        log_pi = psi(alpha) - psi(alpha.sum())
        alpha0 = np.full(k, concentration0)
        p_pi = gammaln(alpha0.sum()) - gammaln(alpha0).sum() + ((alpha0 - 1) * log_pi).sum()  # 10.73
        q_pi = gammaln(alpha.sum()) - gammaln(alpha).sum() + ((alpha - 1) * log_pi).sum()  # 10.76
    else:
        a, b = model.weight_concentration_
        log_v, log_rest = psi(a) - psi(a + b), psi(b) - psi(a + b)
        log_pi = np.array([log_v[j] + log_rest[:j].sum() for j in range(k)])
        p_pi = (np.log(concentration0) + (concentration0 - 1) * log_rest).sum()
        q_pi = ((a - 1) * log_v + (b - 1) * log_rest - betaln(a, b)).sum()
    r = weight[:, None] * resp
    total = p_pi - q_pi
    total += (r * log_pi).sum()  # 10.72
    total -= (r * np.log(np.where(resp > 0, resp, 1))).sum()  # 10.75
    for j in range(k):
        z = X - m[j]
        distance = nu[j] * np.einsum("ni,ij,nj->n", z, W[j], z)
        total += 0.5 * (r[:, j] * (log_det[j] - d / beta[j] - distance - d * np.log(2 * np.pi))).sum()  # 10.71
        delta = m[j] - m0
        total += 0.5 * (
            d * np.log(beta0 / (2 * np.pi))
            + log_det[j]
            - d * beta0 / beta[j]
            - beta0 * nu[j] * delta @ W[j] @ delta
            + (nu0 - d - 1) * log_det[j]
            - nu[j] * np.trace(W0_inverse @ W[j])
        ) + log_b(np.linalg.inv(W0_inverse), nu0)  # 10.74
        H = -log_b(W[j], nu[j]) - (nu[j] - d - 1) / 2 * log_det[j] + nu[j] * d / 2  # B.82
        total -= 0.5 * log_det[j] + d / 2 * np.log(beta[j] / (2 * np.pi)) - d / 2 - H  # 10.77
    return total


READ = [
    *("means_", "covariances_", "mean_precision_", "degrees_of_freedom_", "weight_concentration_", "covariance_type"),
    *("mean_prior_", "covariance_prior_", "mean_precision_prior_", "degrees_of_freedom_prior_"),
    *("weight_concentration_prior_", "weight_concentration_prior_type"),
]


def fit(X, k=4, sample_weight=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return BayesianGaussianMixture(k, **{"init_params": "block", **options}).fit(X, sample_weight=sample_weight)


def fit_theirs(X, k=4, **options):
    """Scikit-learn's fit from the same blocks of rows."""
    model = sklearn.mixture.BayesianGaussianMixture(n_components=k, warm_start=True, **options)
    resp = np.zeros((len(X), k))
    resp[np.arange(len(X)), np.arange(len(X)) * k // len(X)] = 1
    model._check_parameters(X)
    model._initialize(X, resp)
    model.converged_, model.lower_bound_ = False, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


def left_out(model, n_samples):
    """What scikit-learn's bound lacks of the whole one (`docs/numerics.md`)."""
    k, d = model.means_.shape
    concentration, nu = model.weight_concentration_prior_, model.degrees_of_freedom_prior_
    inverse = full(model.posterior_.prior.covariance.covariances, model.covariance_type, 1, d)[0]
    normaliser = wishart_log_normaliser(-np.linalg.slogdet(inverse)[1], nu, d) + d * (d - 1) / 4 * np.log(np.pi)
    weights = {
        "dirichlet_process": k * np.log(concentration),
        "dirichlet_distribution": gammaln(k * concentration) - k * gammaln(concentration),
    }[model.weight_concentration_prior_type]
    means = k * d / 2 * np.log(model.mean_precision_prior_)
    return k * normaliser + means + weights - n_samples * d / 2 * np.log(2 * np.pi)


PRIORS = {
    "weight_concentration_prior": 3.0,
    "mean_precision_prior": 0.2,
    "degrees_of_freedom_prior": 4.5,
    "mean_prior": [0.5, -1.0, 2.0],
}
COVARIANCE_PRIORS = {
    "full": np.diag([1.0, 2.0, 3.0]) + 0.2,
    "tied": np.diag([1.0, 2.0, 3.0]) + 0.2,
    "diag": np.array([1.0, 2.0, 3.0]),
    "spherical": 1.7,
}


@combinations
@pytest.mark.parametrize("options", [{}, {"tol": 1e-7, "max_iter": 300}, {"reg_covar": 0.1}, PRIORS])
def test_the_same_trajectory_as_scikit_learn(weights, name, options, blobs):
    X, _ = blobs(n=400)
    options = options | {"covariance_type": name, "weight_concentration_prior_type": weights}
    if "mean_prior" in options:
        options["covariance_prior"] = COVARIANCE_PRIORS[name]
    theirs, ours = fit_theirs(X, **options), fit(X, **options)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    # With tied covariances their bounds are arrays of one number.
    constants = np.array(ours.lower_bounds_) - np.array(theirs.lower_bounds_).ravel()
    np.testing.assert_allclose(constants, left_out(ours, 400), rtol=1e-10)
    for attribute in (
        *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"),
        *("mean_prior_", "mean_precision_", "mean_precision_prior_", "covariance_prior_", "n_features_in_"),
        *("weight_concentration_prior_", "degrees_of_freedom_", "degrees_of_freedom_prior_"),
    ):
        expected, got = getattr(theirs, attribute), getattr(ours, attribute)
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9, err_msg=attribute)
        assert np.shape(got) == np.shape(expected), attribute
    np.testing.assert_allclose(ours.weight_concentration_, theirs.weight_concentration_, rtol=1e-7)
    assert isinstance(ours.weight_concentration_, type(theirs.weight_concentration_))
    fresh = X[:30] + 0.3
    np.testing.assert_allclose(ours.score_samples(fresh), theirs.score_samples(fresh), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(fresh), theirs.predict_proba(fresh), atol=1e-9)
    np.testing.assert_array_equal(ours.predict(fresh), theirs.predict(fresh))
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)


@combinations
@pytest.mark.parametrize("max_iter", [1, 4, 100])
@pytest.mark.parametrize("options", [{}, PRIORS], ids=["default priors", "given priors"])
def test_the_bound_is_that_of_the_book(weights, name, max_iter, options, blobs):
    X, _ = blobs(n=120)
    weight = np.random.default_rng(3).uniform(0.2, 3, 120)
    options = options | {"covariance_type": name, "weight_concentration_prior_type": weights, "reg_covar": 0.0}
    before = fit(X, sample_weight=weight, max_iter=max_iter - 1, tol=0.0, **options)
    after = fit(X, sample_weight=weight, max_iter=max_iter, tol=0.0, **options)
    expected = bound_term_by_term(X, weight, before.predict_proba(X), after)
    assert after.lower_bound_ == pytest.approx(expected, rel=1e-11)
    assert after.lower_bounds_[-1] == after.lower_bound_


@combinations
def test_a_step_is_the_best_of_its_family(weights, name, blobs):
    """The bound falls for any other mean, precision of it, scale or degrees of freedom that the structure allows."""
    X, _ = blobs(n=60)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "reg_covar": 0.0, "tol": 0.0}
    resp = fit(X, max_iter=3, **options).predict_proba(X)
    ones = np.ones(60)
    best = fit(X, max_iter=4, **options)
    top = bound_term_by_term(X, ones, resp, best)
    rng = np.random.default_rng(0)
    for attribute in ("means_", "mean_precision_", "degrees_of_freedom_", "covariances_", "weight_concentration_"):
        for sign in (1e-3, -1e-3):
            other = SimpleNamespace(**{name: getattr(best, name) for name in READ})
            value = getattr(best, attribute)
            factor = 1 + sign * rng.uniform(0.5, 1, np.shape(value))
            if attribute == "covariances_" and name in ("full", "tied"):
                factor = np.eye(3) + sign * rng.normal(size=(3, 3))
                factor = factor @ factor.T
            moved = np.asarray(value) * factor
            if attribute == "degrees_of_freedom_":
                # Wₖ is held, as if it were the parameter.
                scale = np.reshape(1 / factor, np.shape(factor) + (1,) * (best.covariances_.ndim - np.ndim(factor)))
                other.covariances_ = best.covariances_ * scale
            if attribute == "weight_concentration_" and weights == "dirichlet_process":
                moved = tuple(moved)
            setattr(other, attribute, moved)
            assert bound_term_by_term(X, ones, resp, other) < top


@combinations
@pytest.mark.parametrize("seed", range(4))
def test_the_bound_never_falls(weights, name, seed):
    rng = np.random.default_rng(seed)
    X, weight = rng.standard_t(3, size=(150, 2)) * [1, 30] + 5, rng.uniform(0.1, 2, 150)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "init_params": "random"}
    model = BayesianGaussianMixture(
        6,
        **options,
        reg_covar=0.0,
        tol=1e-9,
        max_iter=300,
        random_state=seed,
        weight_concentration_prior=10.0 ** (seed - 2),
    )
    infos = list(model.fit_steps(X, sample_weight=weight))
    assert not any(info.fell for info in infos)
    gains = np.diff(model.lower_bounds_)
    assert gains.size > 10
    assert gains.min() > -1e-9


def test_regularisation_keeps_it_a_bound(blobs):
    # Each covariance is then that of rows blurred by reg_covar: less likely than the rows as they are.
    X, _ = blobs(n=100)
    for name in COVARIANCES:
        options = {"covariance_type": name, "reg_covar": 0.5, "tol": 0.0}
        before, after = (fit(X, max_iter=n, **options) for n in (5, 6))
        exact = bound_term_by_term(X, np.ones(100), before.predict_proba(X), after)
        share = np.broadcast_to(after.precisions_, (4,) if name == "spherical" else np.shape(after.precisions_))
        counts = after.posterior_.counts
        traces = {
            "full": lambda p, c: c @ np.trace(p, axis1=1, axis2=2),
            "tied": lambda p, c: c.sum() * np.trace(p),
            "diag": lambda p, c: c @ p.sum(axis=1),
            "spherical": lambda p, c: 3 * c @ p,
        }[name](share, counts)
        assert after.lower_bound_ + 0.25 * traces == pytest.approx(exact, rel=1e-11)


def test_with_one_component_the_bound_is_the_evidence():
    """In one dimension, by integrating likelihood times prior over the mean and the logarithm of the precision."""
    X = np.array([[0.3], [1.4], [-0.2], [2.0]])
    model = fit(X, k=1, reg_covar=0.0, mean_precision_prior=0.5, degrees_of_freedom_prior=3.0, covariance_prior=[[2.0]])
    mean, log_precision = np.meshgrid(np.linspace(-40, 40, 2001), np.linspace(-12, 5, 301), indexing="ij")
    precision = np.exp(log_precision)
    deviation = precision**-0.5
    # W(λ | ½, 3) is the gamma distribution of shape 3/2 and rate 1.
    log_joint = gamma.logpdf(precision, 1.5) + norm.logpdf(mean, X.mean(), deviation / 0.5**0.5) + log_precision
    log_joint += sum(norm.logpdf(x, mean, deviation) for x in X[:, 0])
    evidence = np.exp(log_joint).sum() * (80 / 2000) * (17 / 300)
    # Four rows on the first piece of a stick broken uniformly: ∫ v⁴ dv.
    assert model.lower_bound_ == pytest.approx(np.log(evidence) + np.log(1 / 5), abs=1e-5)


def test_the_bound_is_below_the_evidence_summed_over_all_labels(blobs):
    X, _ = blobs(n=7, d=2)
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "reg_covar": 0.0}
    exact = []
    for labels in itertools.product(range(2), repeat=7):
        if len(set(labels)) == 2:
            model = BayesianGaussianMixture(2, **options)
            list(model.fit_steps(X, labels=np.array(labels)))
            exact.append(model.lower_bound_)
    # The two assignments to one component alone are left out: the sum is still below the evidence, but above the bound.
    bounds = [fit(X, 2, init_params="random", random_state=seed, **options).lower_bound_ for seed in range(5)]
    assert max(bounds) < logsumexp(exact)
    assert max(bounds) > max(exact)


@combinations
def test_expected_log_densities_are_means_over_the_posterior(weights, name, blobs, rng):
    X, _ = blobs(n=60)
    model = fit(X, 2, covariance_type=name, weight_concentration_prior_type=weights)
    k, d = model.means_.shape
    nu = np.broadcast_to(model.degrees_of_freedom_, (k,))
    x = X[:3] + 1.0
    draws = 40_000
    if weights == "dirichlet_distribution":
        log_pi = np.log(rng.dirichlet(model.weight_concentration_, draws))
    else:
        v = rng.beta(*model.weight_concentration_, size=(draws, k))
        log_pi = np.log(v) + np.cumsum(np.column_stack([np.zeros(draws), np.log1p(-v[:, :-1])]), axis=1)
    terms = model.mixture_.log_densities.terms(x)
    for j, covariance in enumerate(full(model.covariances_, name, k, d)):
        Lambda = wishart_distribution.rvs(nu[j], np.linalg.inv(covariance) / nu[j], size=draws, random_state=rng)
        root = np.linalg.cholesky(np.linalg.inv(Lambda) / model.mean_precision_[j])
        mu = model.means_[j] + np.einsum("nij,nj->ni", root, rng.normal(size=(draws, d)))
        for row in range(3):
            z = x[row] - mu
            quadratic = np.einsum("ni,nij,nj->n", z, Lambda, z)
            log_density = 0.5 * (np.linalg.slogdet(Lambda)[1] - d * np.log(2 * np.pi) - quadratic) + log_pi[:, j]
            error = 6 * log_density.std() / np.sqrt(draws)
            assert abs(log_density.mean() - terms[row, j]) < error


@pytest.mark.parametrize("name", COVARIANCES)
def test_the_entropy_follows_from_the_statistics(name, blobs):
    X, _ = blobs(n=300)
    model = fit(X, covariance_type=name, max_iter=2)
    weight = np.random.default_rng(0).uniform(0, 3, 300)
    densities = model.mixture_.log_densities
    statistics = Expectation(X, weight, 4, COVARIANCES[name])(densities)
    _, log_resp = densities.log_responsibilities(X)
    unit = 2.0  # the power of two at the largest weight
    plain = -(weight[:, None] / unit * np.exp(log_resp) * log_resp).sum()
    assert entropy(densities, statistics) == pytest.approx(plain, rel=1e-10)


@combinations
def test_integer_weights_count_like_repeated_rows(weights, name, blobs):
    X, _ = blobs(n=150)
    counts = np.random.default_rng(2).integers(0, 4, 150)
    # The same start: labels by block fall differently on repeated rows.
    labels = np.arange(150) * 3 // 150
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "tol": 1e-8, "max_iter": 200}
    models = []
    for rows, codes, weight in (
        (X, labels, counts),
        (np.repeat(X, counts, axis=0), np.repeat(labels, counts), None),
    ):
        start = BayesianGaussianMixture(3, **options)
        list(start.fit_steps(rows, sample_weight=weight, labels=codes))
        start.set_params(warm_start=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models.append(start.fit(rows, sample_weight=weight))
    weighted, repeated = models
    assert weighted.n_iter_ == repeated.n_iter_ > 5
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-10)
    for attribute in ("weights_", "means_", "covariances_", "covariance_prior_", "mean_prior_", "degrees_of_freedom_"):
        np.testing.assert_allclose(
            getattr(weighted, attribute), getattr(repeated, attribute), rtol=1e-10, atol=1e-10, err_msg=attribute
        )


def test_weights_are_counts_and_not_only_shares(blobs):
    X, _ = blobs(n=50)
    once, tenfold = fit(X, 2), fit(X, 2, sample_weight=np.full(50, 10.0))
    assert tenfold.mean_precision_.sum() == pytest.approx(502)
    assert once.mean_precision_.sum() == pytest.approx(52)
    assert tenfold.lower_bound_ < once.lower_bound_
    with pytest.raises(InvalidParameter, match=r"covariance_prior = None: must be given when sample_weight sums to"):
        fit(X, 2, sample_weight=np.full(50, 0.01))
    light = fit(X, 2, sample_weight=np.full(50, 0.01), covariance_prior=np.eye(3))
    assert np.isfinite(light.lower_bound_)


@combinations
def test_components_without_rows_return_to_the_prior(weights, name, rng):
    structure = COVARIANCES[name]
    X, resp = rng.normal(size=(30, 2)), np.zeros((30, 3))
    resp[:, 0], resp[:, 1] = 0.25, 0.75
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    given = {"full": matrix[None], "tied": matrix, "diag": np.array([[2.0, 1.0]]), "spherical": np.array([1.5])}[name]
    covariance = structure.from_covariances(given, 1, 2)
    prior = Prior(CONCENTRATIONS[weights], 0.3, 2.0, np.array([5.0, -5.0]), 3.0, covariance)
    posterior = update(prior, structure, statistics_of(structure, X, resp, 0.0), 1e-6)
    np.testing.assert_array_equal(posterior.means[2], prior.mean)
    assert posterior.mean_precision[2] == 2.0
    if name != "tied":
        assert posterior.degrees_of_freedom[2] == 3.0
        np.testing.assert_allclose(posterior.covariance.covariances[2], covariance.covariances[0] / 3)
    assert posterior.effective_components == 2
    densities = posterior.mixture.log_densities
    assert np.isfinite(densities.terms(X)).all()


@pytest.mark.parametrize("weights", CONCENTRATIONS)
def test_superfluous_components_are_given_up(weights, rng):
    groups = np.repeat([0, 1, 2], 200)
    X = rng.normal(size=(600, 2)) + np.array([[0, 0], [12, 0], [0, 12]])[groups]
    model = BayesianGaussianMixture(
        10, weight_concentration_prior_type=weights, weight_concentration_prior=1e-3, random_state=0, max_iter=1000
    ).fit(X)
    assert model.effective_components_ == (model.posterior_.counts >= 1).sum() == 3
    assert len(set(zip(groups.tolist(), model.predict(X).tolist(), strict=True))) == 3
    assert np.sort(model.weights_)[-3:].sum() > 0.98


@combinations
@pytest.mark.parametrize("scale", [1e-100, 1e-20, 1e20, 1e100])
def test_without_regularisation_scale_only_moves_the_bound(weights, name, scale, blobs):
    X, _ = blobs(n=200, d=2)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "reg_covar": 0.0, "random_state": 0}
    plain, scaled = (fit(rows, 3, init_params="kmeans", **options) for rows in (X, X * scale))
    assert scaled.n_iter_ == plain.n_iter_
    np.testing.assert_allclose(scaled.weights_, plain.weights_, rtol=1e-8)
    np.testing.assert_allclose(scaled.covariances_ / scale / scale, plain.covariances_, rtol=1e-7)
    assert scaled.lower_bound_ + 400 * np.log(scale) == pytest.approx(plain.lower_bound_, abs=1e-7)


@combinations
def test_an_offset_does_not_change_the_fit(weights, name, blobs):
    X = np.round(blobs(n=200)[0] * GRID) / GRID
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "max_iter": 5, "tol": 0.0}
    plain, shifted = (fit(rows, 3, **options) for rows in (X, X + 1e8))
    np.testing.assert_allclose(shifted.covariances_, plain.covariances_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(shifted.lower_bounds_, plain.lower_bounds_, rtol=1e-7)


@combinations
def test_resuming_anywhere_gives_the_same_bits(weights, name, blobs):
    X, _ = blobs(n=120)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "max_iter": 5, "tol": 1e-6}
    make = lambda: BayesianGaussianMixture(3, n_init=2, random_state=1, init_params="random", **options)  # noqa: E731
    model = make()
    states = [model.state_.to_arrays() for _ in model.fit_steps(X)]
    assert len(states) == 10
    for arrays in states:
        resumed = make()
        list(resumed.fit_steps(X, state=State.from_arrays(arrays)))
        assert resumed.lower_bounds_ == model.lower_bounds_
        for attribute in ("weights_", "means_", "covariances_", "precisions_cholesky_", "degrees_of_freedom_"):
            np.testing.assert_array_equal(getattr(resumed, attribute), getattr(model, attribute))


def test_warm_start_goes_on(blobs):
    X, _ = blobs(n=300)
    whole = fit(X, max_iter=6, tol=0.0)
    warm = BayesianGaussianMixture(4, init_params="block", max_iter=3, tol=0.0, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bounds = [*warm.fit(X).lower_bounds_, *warm.fit(X).lower_bounds_]
    assert bounds == whole.lower_bounds_


def test_the_best_of_several_runs_is_kept(blobs):
    X, _ = blobs(n=300, k=5)
    model = BayesianGaussianMixture(5, n_init=4, init_params="random", random_state=0, max_iter=500, tol=1e-2)
    finals = {info.init: info.objective for info in model.fit_steps(X)}
    assert len(finals) == 4
    assert model.lower_bound_ == max(finals.values())


def test_with_the_labels_known_the_posterior_is_exact(blobs):
    X, labels = blobs(n=90)
    model = BayesianGaussianMixture(3, reg_covar=0.0)
    infos = list(model.fit_steps(X, labels=labels))
    assert len(infos) == 1
    resp = np.eye(3)[labels]
    assert model.lower_bound_ == infos[0].objective
    assert model.lower_bound_ == pytest.approx(bound_term_by_term(X, np.ones(90), resp, model), rel=1e-12)
    np.testing.assert_allclose(model.mean_precision_, 1 + np.bincount(labels))


def test_sampling_follows_weights_means_and_covariances(blobs):
    X, _ = blobs()
    model = fit(X, 3, random_state=0)
    rows, labels = model.sample(100_000)
    np.testing.assert_allclose(np.bincount(labels, minlength=3) / 1e5, model.weights_, atol=0.01)
    for j in range(3):
        np.testing.assert_allclose(np.cov(rows[labels == j].T), model.covariances_[j], rtol=0.1, atol=0.1)
    np.testing.assert_array_equal(rows, model.sample(100_000)[0])


@pytest.mark.parametrize("name", COVARIANCES)
def test_rows_far_away_belong_to_somebody(name, blobs):
    X, _ = blobs(n=100, d=2)
    model = fit(X, 3, covariance_type=name)
    far = np.array([[1e200, 0.0], [-1e200, 1e200], [1e308, -1e308], [1e155, 1e155], [1e12, 0.0]])
    proba = model.predict_proba(far)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert not np.isnan(model.score_samples(far)).any()
    assert not np.isnan(model.transform(far)).any()


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_singular_covariance_of_the_rows_is_no_prior(name):
    X = np.column_stack([np.arange(20.0), np.full(20, 1e8 + 0.1)])
    model = fit(X, 2, covariance_type=name)
    assert np.isfinite(model.score_samples(X)).all()
    if name == "spherical":
        return
    np.testing.assert_allclose(np.asarray(model.covariance_prior_).ravel()[-1], 1e-6, rtol=1e-3)
    with pytest.raises(InvalidParameter, match="covariance of the rows, is singular at feature 1") as refused:
        fit(X, 2, covariance_type=name, reg_covar=0.0)
    assert refused.value.name == "covariance_prior"
    given = {"diag": [1.0, 1.0]}.get(name, np.eye(2))
    assert np.isfinite(fit(X, 2, covariance_type=name, reg_covar=0.0, covariance_prior=given).lower_bound_)


def test_squares_that_overflow_are_named(blobs):
    with pytest.raises(Diverged, match="above the largest float"):
        fit(blobs()[0] * 1e200)
    with pytest.raises(Diverged, match=r"above the largest float.*start 1"):
        fit(blobs()[0] * 1e200, covariance_prior=np.eye(3), mean_prior=np.zeros(3))


def test_a_prior_too_small_to_hold_a_component_up_is_a_collapse():
    X = np.column_stack([np.arange(20.0), np.arange(20.0)])
    with pytest.raises(CollapsedComponent) as collapsed:
        fit(X, 2, reg_covar=0.0, covariance_prior=1e-30 * np.eye(2))
    assert (collapsed.value.component, collapsed.value.feature) == (0, 1)


INVALID = [
    *({"weight_concentration_prior_type": value} for value in ("dirichlet", None, 1)),
    *({"weight_concentration_prior": value} for value in (0.0, -1, 1e-320, 1e308, np.nan, np.inf, True, "1", [1.0])),
    *({"mean_precision_prior": value} for value in (0, -0.5, 5e-324, np.nan, False, "1")),
    *({"degrees_of_freedom_prior": value} for value in (1.0, 0.5, np.nan, np.inf, True, "3")),
    *({"mean_prior": value} for value in ([0.0], [[0.0, 0.0]], [np.nan, 0.0], ["a", "b"], 0.0, [True, False])),
    *({"covariance_prior": value} for value in (1.0, np.eye(3), -np.eye(2), [[1, 2], [2, 1]], [[1, 0.5], [0, 1]], "I")),
    *({"covariance_prior": value, "covariance_type": "tied"} for value in (np.ones((2, 2)), [1.0, 1.0])),
    *({"covariance_prior": value, "covariance_type": "diag"} for value in ([1.0, 0.0], [1.0], np.eye(2), [1, np.inf])),
    *({"covariance_prior": value, "covariance_type": "spherical"} for value in (0.0, -1.0, [1.0, 1.0], True, np.nan)),
]


@pytest.mark.parametrize("bad", INVALID, ids=repr)
def test_every_parameter_is_refused_by_name(bad):
    model = BayesianGaussianMixture(2).set_params(**bad)
    name = next(iter(bad))
    with pytest.raises(InvalidParameter) as refused:
        model.check_parameters(10, 2)
    assert refused.value.name == name
    text = str(refused.value)
    assert text.startswith(name)
    assert "must" in text
    assert "\n" not in text
    assert not text.endswith(".")
    with pytest.raises(InvalidParameter):
        model.fit(np.random.default_rng(0).normal(size=(10, 2)))


def test_parameters_and_defaults_are_scikit_learns():
    ours, theirs = BayesianGaussianMixture(), sklearn.mixture.BayesianGaussianMixture()
    assert ours.get_params() | theirs.get_params() == ours.get_params()
    assert set(ours.get_params()) - set(theirs.get_params()) <= {
        "patience",
        "init_size",
        "history",
        "step_decay",
        "short_iter",
        "step_offset",
    }
    assert sklearn.base.clone(BayesianGaussianMixture(3, tol=0.5)).get_params()["tol"] == 0.5
    assert repr(BayesianGaussianMixture(3)) == "BayesianGaussianMixture(n_components=3)"
    for prior in (1.0, 3, np.float32(0.5)):
        BayesianGaussianMixture(degrees_of_freedom_prior=prior).check_parameters(5, 1)


def test_only_a_small_gain_is_convergence(blobs):
    X, _ = blobs(n=50)
    structure = COVARIANCES["full"]
    covariance = structure.from_covariances(np.eye(3)[None], 1, 3)
    prior = Prior(CONCENTRATIONS["dirichlet_process"], 1.0, 1.0, np.zeros(3), 3.0, covariance)
    for reg_covar in (0.0, 1e-6):
        algorithm = VariationalBayes(X, np.ones(50), 1, structure, prior, reg_covar=reg_covar)
        step = algorithm.step(algorithm.start(np.random.default_rng(0)))
        assert algorithm.quiet(step, 1e-4)
        assert algorithm.quiet(step, -1e-12)
        assert not algorithm.quiet(step, 1e-2)
        assert not algorithm.quiet(step, -1e-2)
        assert algorithm.quiet(step, -1e-4) == (reg_covar > 0)


@combinations
def test_the_first_batch_of_a_stream_is_a_first_iteration(weights, name, blobs):
    X, _ = blobs(n=200)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights}
    once = fit(X, max_iter=1, **options)
    begun = BayesianGaussianMixture(4, init_params="block", **options).partial_fit(X)
    for attribute in ("weights_", "means_", "covariances_", "mean_precision_", "covariance_prior_"):
        np.testing.assert_allclose(getattr(begun, attribute), getattr(once, attribute), rtol=1e-12, err_msg=attribute)
    assert begun.n_steps_ == 1


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_stream_comes_near_the_fit_of_all_its_rows(name, rng):
    groups = rng.integers(0, 3, 8000)
    X = rng.normal(size=(8000, 2)) + np.array([[0, 0], [6, 0], [0, 6]])[groups]
    options = {"covariance_type": name, "init_params": "kmeans", "random_state": 0}
    whole = fit(X, 3, **options)
    stream = BayesianGaussianMixture(3, step_decay=1.0, step_offset=0.0, **options)
    for batch in np.split(X, 40):
        stream.partial_fit(batch)
    # Every row seen counts, and the prior is that of the first batch.
    assert stream.mean_precision_.sum() == pytest.approx(8003)
    np.testing.assert_allclose(stream.mean_prior_, X[:200].mean(axis=0))
    np.testing.assert_allclose(np.sort(stream.weights_), np.sort(whole.weights_), atol=0.01)
    order, expected = np.lexsort(stream.means_.round().T), np.lexsort(whole.means_.round().T)
    np.testing.assert_allclose(stream.means_[order], whole.means_[expected], atol=0.05)
    assert stream.score(X) == pytest.approx(whole.score(X), abs=5e-3)


def test_a_stream_goes_on_from_a_fit(blobs):
    X, _ = blobs(n=300)
    model = fit(X[:200], 3)
    prior = model.mean_prior_.copy()
    model.partial_fit(X[200:], sample_weight=np.full(100, 2.0))
    assert model.n_steps_ == 2
    assert model.mean_precision_.sum() == pytest.approx(403)
    np.testing.assert_array_equal(model.mean_prior_, prior)
    again = pickle.loads(pickle.dumps(model)).partial_fit(X[:50])
    np.testing.assert_array_equal(again.means_, model.partial_fit(X[:50]).means_)


@combinations
def test_rows_given_as_float32_are_answered_as_such(weights, name, blobs):
    X, _ = blobs(n=2000)
    options = {"covariance_type": name, "weight_concentration_prior_type": weights, "max_iter": 20, "tol": 0.0}
    double, single = fit(X, 3, **options), fit(X.astype(np.float32), 3, **options)
    for attribute in ("weights_", "means_", "covariances_", "mean_precision_", "covariance_prior_", "mean_prior_"):
        got = getattr(single, attribute)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, getattr(double, attribute), rtol=2e-2, atol=2e-2, err_msg=attribute)
    assert single.predict_proba(X[:5].astype(np.float32)).dtype == np.float32
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-4)


def test_round_off_of_32_bits_is_neither_a_fall_nor_a_gain(rng):
    X = (rng.normal(size=(20_000, 4)) + 5.0 * rng.integers(0, 3, 20_000)[:, None]).astype(np.float32)
    model = BayesianGaussianMixture(3, tol=1e-9, max_iter=200, random_state=0)
    infos = list(model.fit_steps(X))
    assert model.converged_
    assert not any(info.fell for info in infos)


def test_the_history_holds_the_parameters_of_each_iteration(blobs):
    X, _ = blobs(n=100)
    model = fit(X, 3, max_iter=4, tol=0.0, history="parameters")
    for n_iter in (1, 4):
        shorter = fit(X, 3, max_iter=n_iter, tol=0.0)
        np.testing.assert_array_equal(model.history_.parameters["means"][n_iter - 1], shorter.means_)
        np.testing.assert_array_equal(model.history_.parameters["covariances"][n_iter - 1], shorter.covariances_)


def test_fitted_arrays_cannot_be_changed(blobs):
    model = fit(blobs()[0], 2)
    for attribute in ("means_", "mean_precision_", "mean_prior_", "covariance_prior_"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(model, attribute)[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        model.weight_concentration_[0][0] = 0


def test_all_starts_and_their_subsamples_are_taken(blobs):
    X, _ = blobs(n=300)
    for init_params in ("kmeans", "k-means++", "random", "random_from_data", "block"):
        model = fit(X, 3, init_params=init_params, init_size=100, random_state=0, max_iter=500)
        assert model.converged_


@combinations
@pytest.mark.parametrize(
    "extreme",
    [
        *({"mean_precision_prior": value} for value in (1e-300, 1e300)),
        *({"weight_concentration_prior": value} for value in (1e-300, 1e300)),
        *({"degrees_of_freedom_prior": value} for value in (1 + 1e-15, 1e15)),
        {"mean_prior": [1e150, 0.0]},
    ],
    ids=repr,
)
def test_priors_at_the_ends_of_what_is_accepted(weights, name, extreme, blobs):
    X, _ = blobs(n=60, d=2)
    model = fit(X, covariance_type=name, weight_concentration_prior_type=weights, **extreme)
    for array in (model.weights_, model.means_, model.covariances_, model.lower_bound_, model.score_samples(X)):
        assert np.isfinite(array).all()
    assert model.weights_.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
