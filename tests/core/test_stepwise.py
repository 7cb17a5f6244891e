"""Stepwise EM against the batch M-step, the maximum of the likelihood, and itself after a pause."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp

from core.covariance import COVARIANCES
from core.errors import CollapsedComponent, InvalidParameter, InvalidRows
from core.estimators import GaussianMixture
from core.mixture import combine, m_step, statistics_of
from core.stepwise import fold, statistics_of_mixture, step_size

GRID = 2.0**20


def batches(X, size):
    return [X[start : start + size] for start in range(0, len(X), size)]


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_equal_parts_of_fixed_responsibilities_are_the_batch_m_step(name, offset, blobs, rng):
    structure = COVARIANCES[name]
    X = np.round(blobs(n=400)[0] * GRID) / GRID + offset
    resp = rng.dirichlet(np.ones(3), 400) * rng.uniform(0.5, 2, 400)[:, None]
    # Batches of the same weight: only then does an average of averages say the same.
    resp /= np.repeat([part.sum() for part in batches(resp, 80)], 80)[:, None]
    running = None
    for rows, shares in zip(batches(X, 80), batches(resp, 80), strict=True):
        batch = statistics_of(structure, rows, shares, log_likelihood=float(rows[0, 0]))
        running = fold(structure, running, batch, 1.0, decay=1.0, offset=0.0)
    assert (running.n_steps, running.weight) == (5, 5.0)
    assert running.statistics.total == pytest.approx(1, abs=1e-15)
    assert running.statistics.log_likelihood == pytest.approx(np.mean([rows[0, 0] for rows in batches(X, 80)]))
    stepwise = m_step(structure, running.statistics, 1e-6)
    whole = m_step(structure, statistics_of(structure, X, resp, 0.0), 1e-6)
    np.testing.assert_allclose(stepwise.weights, whole.weights, rtol=1e-13)
    np.testing.assert_allclose(stepwise.means - offset, whole.means - offset, atol=1e-7 if offset else 1e-13)
    np.testing.assert_allclose(stepwise.covariances, whole.covariances, rtol=1e-7 if offset else 1e-12, atol=1e-8)


def textbook(X, weight, mixture, sums, gain):
    """A step written with the raw moments of Cappé and Moulines (2009), diagonal covariances."""
    log_prob = -0.5 * (
        ((X[:, None] - mixture.means) ** 2 / mixture.covariances + np.log(2 * np.pi * mixture.covariances)).sum(axis=2)
    ) + np.log(mixture.weights)
    resp = np.exp(log_prob - logsumexp(log_prob, axis=1, keepdims=True)) * weight[:, None] / weight.sum()
    batch = (resp.sum(axis=0), resp.T @ X, resp.T @ X**2)
    return tuple((1 - gain) * old + gain * new for old, new in zip(sums, batch, strict=True))


def test_a_step_is_that_of_the_textbook(blobs, rng):
    X, _ = blobs(n=600)
    weight = rng.uniform(0.5, 2, 600)
    stream = GaussianMixture(3, covariance_type="diag", random_state=0, step_decay=0.7, step_offset=3.0, reg_covar=0.0)
    stream.partial_fit(X[:200], sample_weight=weight[:200])
    for step, rows in enumerate((slice(200, 350), slice(350, 600)), start=2):
        before = stream.mixture_
        counts = before.weights
        sums = (counts, counts[:, None] * before.means, counts[:, None] * (before.covariances + before.means**2))
        counts, first, second = textbook(X[rows], weight[rows], before, sums, (step + 3.0) ** -0.7)
        stream.partial_fit(X[rows], sample_weight=weight[rows])
        means = first / counts[:, None]
        np.testing.assert_allclose(stream.weights_, counts, rtol=1e-12)
        np.testing.assert_allclose(stream.means_, means, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(stream.covariances_, second / counts[:, None] - means**2, rtol=1e-10)
        assert stream.n_steps_ == step


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_stream_comes_near_the_maximum_of_the_likelihood(name, blobs):
    X, _ = blobs(n=22_000, d=2, distance=4.0, seed=3)
    seen, held_out = X[:20_000], X[20_000:]
    batch = GaussianMixture(3, covariance_type=name, random_state=0, tol=1e-6, max_iter=500).fit(seen)
    stream = GaussianMixture(3, covariance_type=name, random_state=0)
    scores = [stream.partial_fit(rows).score(held_out) for rows in batches(seen, 500)]
    assert scores[-1] > batch.score(held_out) - 0.01
    assert scores[-1] > scores[0]
    assert stream.statistics_.weight == 20_000
    assert stream.lower_bound_ == pytest.approx(stream.score(seen), abs=0.1)


@pytest.mark.parametrize("name", COVARIANCES)
def test_an_offset_does_not_change_a_stream(name, blobs):
    X = np.round(blobs(n=600)[0] * GRID) / GRID
    plain, shifted = (GaussianMixture(3, covariance_type=name, random_state=0) for _ in range(2))
    for rows in batches(X, 150):
        plain.partial_fit(rows)
        shifted.partial_fit(rows + 1e8)
    np.testing.assert_allclose(shifted.covariances_, plain.covariances_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(shifted.means_ - 1e8, plain.means_, atol=1e-6)


def test_integer_weights_count_like_repeated_rows_in_a_stream(blobs):
    X, _ = blobs(n=300)
    counts = np.random.default_rng(2).integers(0, 4, 300)
    given = {"weights": np.full(3, 1 / 3), "means": X[:3], "covariances": np.stack([np.eye(3)] * 3)}
    weighted, repeated = (GaussianMixture.from_parameters(**given) for _ in range(2))
    for rows, times in zip(batches(X, 100), batches(counts, 100), strict=True):
        weighted.partial_fit(rows, sample_weight=times)
        repeated.partial_fit(np.repeat(rows, times, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-10, atol=1e-12)
    assert weighted.statistics_.weight == repeated.statistics_.weight == counts.sum()


def test_a_pickled_stream_goes_on_to_the_same_bits(blobs):
    X, _ = blobs(n=600)
    whole = GaussianMixture(3, random_state=0)
    paused = GaussianMixture(3, random_state=0)
    for rows in batches(X, 150):
        whole.partial_fit(rows)
        paused = pickle.loads(pickle.dumps(paused.partial_fit(rows)))
    np.testing.assert_array_equal(paused.covariances_, whole.covariances_)
    assert paused.lower_bound_ == whole.lower_bound_


def test_rows_given_as_float32_make_a_stream_of_float32(blobs):
    X, _ = blobs(n=600)
    single, double = GaussianMixture(3, random_state=0), GaussianMixture(3, random_state=0)
    for rows in batches(X, 150):
        single.partial_fit(rows.astype(np.float32))
        double.partial_fit(rows)
    assert single.means_.dtype == single.covariances_.dtype == np.float32
    np.testing.assert_allclose(single.means_, double.means_, atol=1e-3)


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_fit_is_a_first_step(name, blobs):
    X, _ = blobs(n=600)
    model = GaussianMixture(3, covariance_type=name, random_state=0, step_decay=1.0, step_offset=0.0, reg_covar=0.0)
    model.fit(X[:300])
    running = statistics_of_mixture(model.mixture_, model.lower_bound_)
    again = m_step(COVARIANCES[name], running.statistics, 0.0)
    np.testing.assert_allclose(again.covariances, model.covariances_, rtol=1e-14)
    bound = model.lower_bound_
    before = model.score(X[300:])
    model.partial_fit(X[300:])
    # Half of each: as if the rows of the fit, under their responsibilities, were one batch, and these another.
    assert model.n_steps_ == 2
    assert model.lower_bound_ == pytest.approx((bound + before) / 2)
    assert not hasattr(model, "history_")
    model.fit(X)
    assert not hasattr(model, "statistics_")


def test_the_step_shrinks_with_its_number():
    assert [step_size(step, 1.0, 0.0) for step in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert step_size(2, 0.6, 2.0) == pytest.approx(4**-0.6)


def test_round_off_does_not_pile_up_in_a_long_stream(rng):
    structure = COVARIANCES["diag"]
    running = None
    for _ in range(3000):
        batch = statistics_of(structure, rng.normal(size=(4, 2)), rng.dirichlet(np.ones(2), 4), 0.0)
        running = fold(structure, running, batch, 4.0, 0.6, 2.0)
        assert running.statistics.total == 1.0 or abs(running.statistics.total - 1) < 3e-16
    assert running.statistics.counts.sum() == pytest.approx(1, abs=1e-12)


def test_the_first_batch_needs_a_row_for_each_component(blobs):
    X, _ = blobs(n=20)
    model = GaussianMixture(3)
    with pytest.raises(InvalidParameter, match="n_components = 3: must be at most the number of rows, 2"):
        model.partial_fit(X[:2])
    assert not hasattr(model, "n_features_in_")
    model.partial_fit(X[:10]).partial_fit(X[10:11])
    assert model.n_steps_ == 2


def test_a_batch_that_is_refused_changes_nothing(blobs):
    X, _ = blobs(n=200)
    model = GaussianMixture(3, random_state=0, reg_covar=0.0).partial_fit(X)
    before = pickle.dumps(model.statistics_)
    with pytest.raises(InvalidRows, match="NaN"):
        model.partial_fit([[np.nan, 0.0, 0.0]])
    with pytest.raises(InvalidRows, match="has 2 features, but GaussianMixture is expecting 3"):
        model.partial_fit(X[:, :2])
    with pytest.raises(
        InvalidParameter, match=r"covariance_type = 'diag': must be 'full', as in the model that partial"
    ):
        model.set_params(covariance_type="diag").partial_fit(X)
    with pytest.raises(InvalidParameter, match=r"n_components = 2: must be 3"):
        model.set_params(covariance_type="full", n_components=2).partial_fit(X)
    assert pickle.dumps(model.statistics_) == before


def test_a_first_batch_that_collapses_leaves_no_fit():
    model = GaussianMixture(2, reg_covar=0.0, random_state=0)
    with pytest.raises(CollapsedComponent):
        model.partial_fit(np.ones((5, 2)))
    assert not hasattr(model, "statistics_")


def test_combine_is_what_folding_uses(rng):
    structure = COVARIANCES["full"]
    a, b = (statistics_of(structure, rng.normal(size=(30, 2)), np.ones((30, 1)), 0.0) for _ in range(2))
    running = fold(structure, fold(structure, None, a, 30, 1.0, 0.0), b, 30, 1.0, 0.0)
    np.testing.assert_allclose(running.statistics.scatter * 60, combine(structure, a, b).scatter, rtol=1e-13)
