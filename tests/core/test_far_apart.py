import numpy as np
import pytest
from scipy.spatial.distance import cdist

from core.far_apart import choose_far_apart
from core.frames import FramedRows
from core.seeding import kmeans_plus_plus
from core.threads import thread_map


def plainly(X, n_clusters, weight, rng):
    """Greedy k-means++ as it is written down, every row looked at in every round."""
    draw = lambda mass, count: np.searchsorted(np.cumsum(mass), rng.random(count) * mass.sum(), side="right")  # noqa: E731
    chosen = [int(draw(weight, 1)[0])]
    squares = cdist(X, X[chosen], "sqeuclidean")[:, 0]
    for _ in range(1, n_clusters):
        candidates = draw(weight * squares, 2 + int(np.log(n_clusters)))
        reduced = np.minimum(squares[:, None], cdist(X, X[candidates], "sqeuclidean"))
        best = int((weight @ reduced).argmin())
        chosen.append(int(candidates[best]))
        squares = reduced[:, best]
    return chosen


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), [(300, 2, 5), (20_000, 3, 9), (900, 20, 30)])
def test_the_same_rows_are_chosen_as_by_the_plain_algorithm(weighted, n, d, k, rng):
    X = rng.normal(size=(n, d)) + rng.integers(0, k, n)[:, None] * 10.0
    weight = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
    same = 0
    for seed in range(10):
        ours = kmeans_plus_plus(X, k, weight, np.random.default_rng(seed), thread_map)
        same += np.array_equal(ours, plainly(X, k, weight, np.random.default_rng(seed)))
    # A draw that falls within float32's round-off of the border of two rows may give the other one.
    assert same >= 8


@pytest.mark.parametrize("width", [1e-3, 1e-6, 0.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_tight_group_gets_one(width, weighted, rng):
    """What float32 makes of the distances within a group must not be taken for distances."""
    groups = rng.permutation(np.arange(900) % 30)
    X = rng.normal(size=(900, 20)) * width + groups[:, None] * 10.0
    weight = rng.uniform(0.1, 3, 900) if weighted else np.ones(900)
    for seed in range(10):
        chosen = kmeans_plus_plus(X, 30, weight, np.random.default_rng(seed))
        assert sorted(groups[chosen].tolist()) == list(range(30))


def test_integer_weights_choose_where_repeated_rows_would(rng):
    X, counts = rng.normal(size=(400, 3)), rng.integers(0, 4, 400)
    owner = np.repeat(np.arange(400), counts)
    for seed in range(10):
        weighted = kmeans_plus_plus(X, 7, counts.astype(float), np.random.default_rng(seed))
        repeated = kmeans_plus_plus(X[owner], 7, np.ones(owner.size), np.random.default_rng(seed))
        np.testing.assert_array_equal(weighted, owner[repeated])


def test_one_row_far_out_leaves_the_others_to_be_told_apart(rng):
    X = np.concatenate([rng.normal(size=(500, 2)) * 1e-3 + 9 * side for side in (0, 1, 2)] + [[[1e150, 0.0]]])
    for seed in range(10):
        chosen = choose_far_apart(FramedRows.of(X, np.ones(1501), 4), 4, np.random.default_rng(seed))
        assert sorted((chosen // 500).tolist()) == [0, 1, 2, 3]
