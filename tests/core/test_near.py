"""What is computed from residuals of the rows near a component, against the same of all rows."""

import numpy as np
import pytest

from core import near
from core.covariance import COVARIANCES
from core.densities import LogDensities
from core.mixture import Mixture, statistics_of
from core.near import Direct

STRUCTURES = ["full", "diag", "spherical"]
BLOCKS, BLOCK = 3, 40
N, D, K = 110, 4, 5  # the last ten rows of the last block are none


def mixture(name, seed=0, spread=12.0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(K, D, D)) + 2 * np.eye(D)
    full = A @ A.transpose(0, 2, 1)
    covariances = {
        "full": full,
        "diag": np.diagonal(full, axis1=1, axis2=2),
        "spherical": np.trace(full, axis1=1, axis2=2) / D,
    }[name]
    made = Mixture.from_parameters(np.full(K, 1 / K), rng.normal(scale=spread, size=(K, D)), covariances, name)
    return made, made.sample(N, rng)[0]


def blocks_of(values):
    """Of shape (k, n), as an expectation holds them."""
    padded = np.zeros((K, BLOCKS * BLOCK))
    padded[:, :N] = values
    return np.ascontiguousarray(padded.reshape(K, BLOCKS, BLOCK).swapaxes(0, 1))


def rows_of(L):
    return L.swapaxes(0, 1).reshape(K, -1)[:, :N]


def direct(densities, components=range(K), vague=range(K), everywhere=(), error=0.0):
    chosen = np.isin(np.arange(K), list(everywhere))
    return Direct.of(densities, np.full(K, error), np.array(components, int), np.array(vague, int), chosen)


def resp_of(L):
    R = np.exp(L - L.max(axis=0))
    return R / R.sum(axis=0)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("vague", [[0, 1, 2, 3, 4], [1, 4]])
def test_densities_that_matter_are_those_of_residuals(name, vague):
    made, X = mixture(name)
    exact = made.log_densities.by_component(X)
    rng = np.random.default_rng(1)
    wrong = exact.copy()
    wrong[vague] += rng.uniform(-1e-3, 1e-3, (len(vague), N))
    L = blocks_of(wrong)
    direct(made.log_densities, vague=vague, error=1e-5).correct(L, X, np.array([], int))
    np.testing.assert_allclose(resp_of(rows_of(L)), resp_of(exact), atol=1e-13)
    below = exact.max(axis=0) - exact > 60
    assert below.any()
    np.testing.assert_array_equal(rows_of(L)[below], wrong[below])


@pytest.mark.parametrize("away", [0.0, 30.0, 1e3])
def test_the_reach_grows_as_densities_fall(away):
    """Products may lose more where a row is far from all components: here all of it, of the one that it belongs to."""
    made, X = mixture("full")
    X = X + away
    exact = made.log_densities.by_component(X)
    top, error = exact.max(axis=0), 1e-2
    wrong = exact.copy()
    wrong[exact.argmax(axis=0), np.arange(N)] -= 16 * error * (202 - 4 * np.minimum(top, 0))
    L = blocks_of(wrong)
    direct(made.log_densities, error=error).correct(L, X, np.array([], int))
    np.testing.assert_allclose(resp_of(rows_of(L)), resp_of(exact), atol=1e-9)


def test_a_density_that_was_far_too_large_hides_no_other():
    made, X = mixture("full")
    exact = made.log_densities.by_component(X)
    wrong = exact.copy()
    own = exact.argmax(axis=0)
    wrong[(own + 1) % K, np.arange(N)] = exact.max(axis=0) + 1e4
    L = blocks_of(wrong)
    direct(made.log_densities).correct(L, X, np.array([], int))
    np.testing.assert_allclose(rows_of(L), exact, rtol=1e-12)


def test_far_rows_and_what_pads_a_block_stay_as_they_are():
    made, X = mixture("full")
    L = blocks_of(made.log_densities.by_component(X) + 1e-3)
    before = L.copy()
    far = np.array([0, 57, 109])
    direct(made.log_densities).correct(L, X, far)
    np.testing.assert_array_equal(rows_of(L)[:, far], rows_of(before)[:, far])
    np.testing.assert_array_equal(L[-1, :, 30:], before[-1, :, 30:])
    assert (rows_of(L)[:, 1:57].max(axis=0) < rows_of(before)[:, 1:57].max(axis=0)).all()


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("components", [[0, 1, 2, 3, 4], [0, 3]])
def test_statistics_are_those_of_all_rows(name, offset, components):
    made, X = mixture(name, spread=4.0)
    X = X + offset
    densities = LogDensities(made.log_densities.offsets, made.means + offset, made.covariance)
    resp = np.exp(densities.log_responsibilities(X)[1])
    ours = direct(densities, components).statistics(blocks_of(resp.T), X, of_all=False)
    theirs = statistics_of(COVARIANCES[name], X, resp, 0.0)
    theirs.counts[np.delete(np.arange(K), components)] = 0
    np.testing.assert_allclose(ours.counts, theirs.counts, rtol=1e-14)
    means, scatter = theirs.means[components], theirs.scatter[components]
    np.testing.assert_allclose(ours.means[components] - offset, means - offset, atol=1e-13 + 2e-16 * offset)
    np.testing.assert_allclose(ours.scatter[components], scatter, rtol=1e-11, atol=1e-11)


def test_next_to_nothing_counts_everywhere_alone():
    made, X = mixture("full")
    resp = np.zeros((K, N))
    resp[0], resp[1] = 1.0, 1e-30
    statistics = direct(made.log_densities, everywhere=[1, 2]).statistics(blocks_of(resp), X, of_all=False)
    np.testing.assert_allclose(statistics.counts, [N, N * 1e-30, 0, 0, 0], rtol=1e-13)
    np.testing.assert_allclose(statistics.means[1], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(statistics.scatter[2:], 0)


@pytest.mark.parametrize("name", STRUCTURES)
def test_components_in_turn_give_the_same_bits(name, monkeypatch):
    """Where all components are near to all rows, not all pairs are copied at a time."""
    made, X = mixture(name, spread=1.0)
    resp = np.exp(made.log_responsibilities(X)[1]).T
    results = []
    for at_a_time in (K, 1, 0):
        monkeypatch.setattr(near, "PAIRS", at_a_time)
        L = blocks_of(made.log_densities.by_component(X) + 1e-6)
        direct(made.log_densities).correct(L, X, np.array([], int))
        results.append((L, direct(made.log_densities).statistics(blocks_of(resp), X, of_all=False)))
    for L, statistics in results[1:]:
        np.testing.assert_array_equal(L, results[0][0])
        np.testing.assert_array_equal(statistics.means, results[0][1].means)
        np.testing.assert_array_equal(statistics.scatter, results[0][1].scatter)
