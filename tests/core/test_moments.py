from fractions import Fraction

import numpy as np
import pytest

from core.errors import InvalidRows
from core.moments import moments_of
from core.threads import thread_map


def correlated(rng, n=3000, d=4):
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_moments_are_numpys(joint, offset, rng):
    X, weight = correlated(rng) + offset, rng.uniform(0.1, 3, 3000)
    moments = moments_of(X, weight, joint=joint)
    covariance = np.cov((X - offset).T, aweights=weight, ddof=0)
    assert moments.total == pytest.approx(weight.sum(), rel=1e-13)
    np.testing.assert_allclose(moments.mean, np.average(X, axis=0, weights=weight), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(moments.deviations**2, np.diagonal(covariance), rtol=1e-7 if offset else 1e-12)
    if joint:
        scatter = moments.root.T @ moments.root
        np.testing.assert_allclose(scatter / moments.total, covariance, rtol=1e-6 if offset else 1e-10, atol=1e-12)


def test_deviations_are_those_of_exact_arithmetic(rng):
    column = 1e8 + rng.normal(size=200)
    exact = [Fraction(value) for value in column]
    mean = sum(exact) / 200
    deviation = float(sum((value - mean) ** 2 for value in exact) / 200) ** 0.5
    for joint in (True, False):
        moments = moments_of(column[:, None], np.ones(200), joint=joint)
        assert moments.deviations[0] == pytest.approx(deviation, rel=1e-14)


@pytest.mark.parametrize("joint", [True, False])
def test_rows_are_read_once_and_any_map_gives_the_same_bits(joint, rng, monkeypatch):
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 100)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MIN", 100)
    X, weight = correlated(rng), rng.uniform(0.1, 3, 3000)
    read = []

    def backwards(function, chunks):
        chunks = list(chunks)
        read.extend(chunk.start for chunk in chunks)
        return reversed([function(chunk) for chunk in reversed(chunks)])

    one, other, threads = (moments_of(X, weight, joint=joint, chunk_map=m) for m in (map, backwards, thread_map))
    assert read == list(range(0, 3000, 100))
    for moments in (other, threads):
        assert moments.total == one.total
        np.testing.assert_array_equal(moments.mean, one.mean)
        np.testing.assert_array_equal(moments.root, one.root)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("size", [2.0**-900, 2.0**900])
def test_a_change_of_units_is_exact(joint, size, rng):
    X = correlated(rng, 300)
    plain, scaled = (moments_of(rows, np.ones(300), joint=joint) for rows in (X, X * size))
    np.testing.assert_allclose(scaled.deviations / size, plain.deviations, rtol=1e-13)
    np.testing.assert_allclose(scaled.mean / size, plain.mean, rtol=1e-12)


@pytest.mark.parametrize("joint", [True, False])
def test_only_ratios_of_weights_move_the_spread(joint, rng):
    X, weight = correlated(rng, 300), rng.integers(0, 4, 300).astype(float)
    plain = moments_of(X, weight, joint=joint)
    for unit in (2.0**-1000, 2.0**1000):
        other = moments_of(X, weight * unit, joint=joint)
        np.testing.assert_array_equal(other.mean, plain.mean)
        np.testing.assert_allclose(other.deviations, plain.deviations, rtol=1e-15)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    again = moments_of(repeated, np.ones(len(repeated)), joint=joint)
    np.testing.assert_allclose(plain.deviations, again.deviations, rtol=1e-12)


def test_a_chunk_without_weight_counts_for_nothing(rng, monkeypatch):
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 10)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MIN", 10)
    X = correlated(rng, 40)
    weight = np.repeat([0.0, 1.0, 0.0, 1.0], 10)
    X[weight == 0] = 1e300
    for joint in (True, False):
        moments = moments_of(X, weight, joint=joint)
        kept = X[weight > 0]
        np.testing.assert_allclose(moments.mean, kept.mean(axis=0), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(moments.deviations, kept.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("joint", [True, False])
def test_a_spread_beyond_every_float_is_refused(joint):
    with pytest.raises(InvalidRows, match=r"1\.8e308"):
        moments_of(np.array([[1.7e308], [-1.7e308]]), np.ones(2), joint=joint)
