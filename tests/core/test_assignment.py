from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from core.assignment import (
    Target,
    blocks_of,
    by_differences,
    nearest_one,
    nearest_two,
    rows_of_block,
    two_least,
)
from core.codebook import Codebook, assign
from core.scratch import Scratch


def by_one(centers, Z, size=16, blur=0.0):
    """Labels of the rows, and the places that products leave open, rows being cut into blocks of this size."""
    target, blocks = Target.of(centers), blocks_of(Z, size)
    labels = np.empty((len(blocks), size), dtype=target.index_type)
    with np.errstate(all="ignore"):
        undecided = nearest_one(target, blocks, Scratch(), labels, blur)
    return labels.ravel()[: len(Z)], undecided[undecided < len(Z)]


@pytest.mark.parametrize(("n", "d", "size"), [(20, 3, 16), (64, 5, 16), (5, 2, 16), (300, 1, 32)])
def test_blocks_hold_every_row_as_a_column(n, d, size, rng):
    Z = rng.normal(size=(n, d))
    columns = blocks_of(Z, size).swapaxes(1, 2).reshape(-1, d + 2)
    np.testing.assert_allclose(columns[:n], np.column_stack([Z, np.ones(n), (Z**2).sum(axis=1)]), rtol=1e-6)
    assert len(columns) < n + size
    assert not columns[n:, [*range(d), d + 1]].any()


@pytest.mark.parametrize(("n", "d", "k"), [(10, 2, 3), (10**6, 8, 8), (10**5, 50, 100), (10**5, 2, 2000)])
def test_a_block_is_a_product_that_needs_no_copies(n, d, k):
    size = rows_of_block(n, d, k)
    assert size % 16 == 0
    assert size < n + 16
    assert size * k * (d + 1) <= 10**6 or size == 256


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 7, 9, 12, 31, 100])
def test_the_two_least_of_a_tournament(k, rng):
    values = rng.normal(size=(k, 200)).astype(np.float32)
    least, second = np.sort(values, axis=0)[:2]
    found = two_least(values.copy())
    np.testing.assert_array_equal(found, [least, second])


@given(seed=st.integers(0, 10_000), d=st.integers(1, 6), k=st.integers(2, 9), spread=st.sampled_from([1e-9, 1e-3, 1.0]))
@settings(max_examples=60, deadline=None)
def test_what_a_product_is_sure_of_is_true(seed, d, k, spread):
    """Against exact arithmetic: centres so near each other that float32 cannot tell must be left open."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=d) + spread * rng.normal(size=(k, d))
    Z = rng.normal(size=(20, d)) * rng.choice([1e-3, 1.0, 30.0], size=(20, 1))
    nearest = nearest_two(Target.of(centers), blocks_of(Z, 32), Scratch())
    for row, label, surely in zip(Z, nearest.labels, nearest.surely, strict=False):
        if surely > 0:
            squares = [
                sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row.tolist(), center.tolist(), strict=True))
                for center in centers
            ]
            assert squares[label] == min(squares)
            assert sorted(squares)[1] - min(squares) >= Fraction(float(surely))


@given(
    seed=st.integers(0, 10_000),
    d=st.integers(1, 6),
    k=st.integers(1, 9),
    spread=st.sampled_from([1e-9, 1e-3, 1.0]),
    blur=st.sampled_from([0.0, 1e-3, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_what_the_least_product_does_not_leave_open_is_true(seed, d, k, spread, blur):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=d) + spread * rng.normal(size=(k, d))
    Z = rng.normal(size=(20, d)) * rng.choice([1e-3, 1.0, 30.0], size=(20, 1))
    labels, undecided = by_one(centers, Z, blur=blur)
    for row in np.setdiff1d(np.arange(20), undecided):
        squares = [
            sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(Z[row].tolist(), center.tolist(), strict=True))
            for center in centers
        ]
        assert squares[labels[row]] == min(squares)
        if k > 1:
            nearest, second = (float(square) ** 0.5 for square in sorted(squares)[:2])
            assert second - nearest > 2 * blur * (1 - 1e-9)


def test_rows_that_are_no_floats_are_left_open():
    X = np.array([[1.0, 0.0], [1e30, 1e30], [2.0, 2.0]])
    with np.errstate(over="ignore"):
        labels, undecided = by_one(X[[0, 2]], X)
    assert undecided.tolist() == [1]
    assert labels[[0, 2]].tolist() == [0, 1]


def test_products_decide_most_rows(rng):
    X = rng.normal(size=(20_000, 16))
    assert by_one(X[:16], X, 2_000)[1].size < 20
    assert (nearest_two(Target.of(X[:16]), blocks_of(X, 2_000), Scratch()).surely > 0).mean() > 0.999


@pytest.mark.parametrize("k", [255, 256, 257, 300, 70_000])
def test_rows_near_to_any_number_of_centres_are_left_open(k):
    """Also to 256 or 65 536 and one: so many are as one in a count of one byte, or two."""
    Z = np.array([[1.0, 0.0], [9.0, 9.0], [0.0, 2.0]])
    centers = np.ones((k, 2))
    assert by_one(centers, Z)[1].tolist() == [0, 1, 2]
    centers[7] = Z[1]
    labels, undecided = by_one(centers, Z)
    assert undecided.tolist() == [0, 2]
    assert labels[1] == 7


@pytest.mark.parametrize(
    ("n", "d", "k"), [(5_000, 3, 5), (9_000, 16, 16), (3_000, 8, 300), (2_000, 5, 1_500), (9_000, 4, 1)]
)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_assign_is_that_of_differences(n, d, k, offset, rng):
    X = rng.normal(size=(n, d)) + offset
    labels, squares = assign(X, X[:k])
    distances = cdist(X, X[:k], "sqeuclidean")
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    np.testing.assert_allclose(squares, distances.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_products_decide_most_rows_of_a_prediction(offset, rng, monkeypatch):
    asked = []

    def counted(rows, centers):
        asked.append(len(rows))
        return by_differences(rows, centers)

    monkeypatch.setattr("core.codebook.by_differences", counted)
    X = rng.normal(size=(20_000, 16)) + offset
    labels = Codebook.of(X[:16]).labels(X)
    assert sum(asked) < 20
    np.testing.assert_array_equal(labels, cdist(X, X[:16], "sqeuclidean").argmin(axis=1))


def test_of_equals_the_first_is_taken_whatever_decides():
    X = np.tile([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]], (4_000, 1))
    centers = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    labels, _ = assign(X, centers)
    np.testing.assert_array_equal(labels[:3], [1, 0, 0])
    np.testing.assert_array_equal(labels, np.tile(labels[:3], 4_000))


def test_rows_no_float32_could_hold_are_told_apart(rng):
    rows = np.concatenate([rng.normal(size=(8_000, 2)), [[1e200, 0.0], [-1e300, 0.0], [0.0, 1e150]]])
    labels, squares = assign(rows, np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    np.testing.assert_array_equal(labels[-3:], [1, 0, 2])
    np.testing.assert_allclose(squares[-3:], [np.inf, np.inf, 1e300])
