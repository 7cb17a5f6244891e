import numpy as np
import pytest
import sklearn.cluster

from core.errors import InvalidParameter
from core.seeding import (
    block_labels,
    kmeans_labels,
    kmeans_plus_plus,
    nearest_labels,
    random_resp,
    random_rows,
    subsample,
)


def potential(X, centers):
    return ((X[:, None] - centers) ** 2).sum(axis=2).min(axis=1).sum()


def test_every_far_group_gets_a_seed(rng):
    groups = np.repeat(np.arange(6), 30)
    X = rng.normal(size=(180, 2)) * 0.01 + groups[:, None] * 100
    for seed in range(20):
        chosen = kmeans_plus_plus(X, 6, np.ones(180), np.random.default_rng(seed))
        assert sorted(groups[chosen]) == list(range(6))


def test_seeds_are_as_good_as_scikit_learns(blobs):
    X, _ = blobs(n=500, k=8, d=2)
    ours, theirs = [], []
    for seed in range(60):
        ours.append(potential(X, X[kmeans_plus_plus(X, 8, np.ones(500), np.random.default_rng(seed))]))
        theirs.append(potential(X, sklearn.cluster.kmeans_plusplus(X, 8, random_state=seed)[0]))
    difference = np.mean(ours) - np.mean(theirs)
    assert abs(difference) < 4 * np.sqrt((np.var(ours) + np.var(theirs)) / 60)


def test_the_first_seed_is_drawn_by_weight():
    X = np.arange(4.0)[:, None]
    weight = np.array([1.0, 0.0, 2.0, 5.0])
    drawn = [int(kmeans_plus_plus(X, 1, weight, np.random.default_rng(seed))[0]) for seed in range(4000)]
    shares = np.bincount(drawn, minlength=4) / 4000
    np.testing.assert_allclose(shares, weight / 8, atol=6 * 0.5 / np.sqrt(4000))
    assert shares[1] == 0


@pytest.mark.parametrize("choose", [kmeans_plus_plus, random_rows])
def test_rows_of_weight_zero_are_never_chosen(choose, rng):
    X, weight = rng.normal(size=(40, 2)), np.ones(40)
    weight[::2] = 0
    X[::2] *= 1000
    for seed in range(20):
        assert (choose(X, 5, weight, np.random.default_rng(seed)) % 2 == 1).all()


def test_more_seeds_than_distinct_rows(rng):
    X = np.repeat([[0.0], [1.0]], 10, axis=0)
    chosen = kmeans_plus_plus(X, 5, np.ones(20), rng)
    assert set(X[chosen, 0]) == {0.0, 1.0}
    assert kmeans_plus_plus(np.ones((6, 2)), 3, np.ones(6), rng).shape == (3,)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_seeding_does_not_see_the_scale(scale, blobs):
    X, _ = blobs(n=100)
    first, second = (kmeans_plus_plus(rows, 4, np.ones(100), np.random.default_rng(0)) for rows in (X, X * scale))
    np.testing.assert_array_equal(first, second)


def test_random_rows_are_distinct(rng):
    assert len(set(random_rows(np.zeros((10, 1)), 10, np.ones(10), rng).tolist())) == 10


def test_nearest_labels_keep_each_seed_to_itself():
    X = np.array([[0.0], [0.0], [5.0], [4.0]])
    np.testing.assert_array_equal(nearest_labels(X, np.array([0, 1, 2])), [0, 1, 2, 2])


def test_blocks_are_consecutive_and_equal():
    np.testing.assert_array_equal(block_labels(6, 3), [0, 0, 1, 1, 2, 2])
    for n, k in ((7, 3), (100, 7), (5, 5)):
        labels = block_labels(n, k)
        sizes = np.bincount(labels, minlength=k)
        assert (np.diff(labels) >= 0).all()
        assert sizes.max() - sizes.min() <= 1
        assert sizes.min() > 0


def test_random_responsibilities_sum_to_one(rng):
    np.testing.assert_allclose(random_resp(30, 4, rng).sum(axis=1), 1)


def test_kmeans_labels_find_the_groups(rng):
    groups = np.repeat(np.arange(3), 50)
    X = rng.normal(size=(150, 2)) + groups[:, None] * 20
    labels = kmeans_labels(X, 3, np.ones(150), rng)
    assert len({(a, b) for a, b in zip(groups.tolist(), labels.tolist(), strict=True)}) == 3


@pytest.mark.parametrize("init_size", [30, 149, 150, 10_000])
def test_kmeans_labels_of_a_subsample_find_the_groups(init_size, rng):
    groups = np.repeat(np.arange(3), 50)
    X = rng.normal(size=(150, 2)) + groups[:, None] * 20
    labels = kmeans_labels(X, 3, np.ones(150), rng, init_size=init_size)
    assert labels.shape == (150,)
    assert len({(a, b) for a, b in zip(groups.tolist(), labels.tolist(), strict=True)}) == 3


def test_a_subsample_is_uniform_without_repetition():
    drawn = [subsample(20, 2, 5, np.random.default_rng(seed)) for seed in range(2000)]
    assert all((np.diff(rows) > 0).all() for rows in drawn)
    shares = np.bincount(np.concatenate(drawn), minlength=20) / 2000
    np.testing.assert_allclose(shares, 0.25, atol=6 * np.sqrt(0.25 * 0.75 / 2000))
    assert subsample(20, 2, None, np.random.default_rng(0)) == slice(None)


@pytest.mark.parametrize("init_size", [0, 2, 2.0, True, "9"])
def test_a_subsample_too_small_is_refused(init_size, rng):
    with pytest.raises(InvalidParameter, match=r"init_size.*must be"):
        kmeans_labels(np.eye(4), 3, np.ones(4), rng, init_size=init_size)
