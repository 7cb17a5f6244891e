import itertools
from fractions import Fraction

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist

from core.errors import InvalidParameter, InvalidRows
from core.estimators import KMeans
from core.kmeans import Centroids, Lloyd, assign


def lloyd_for(X, centers, weight=None, tol=1e-4):
    X = np.asarray(X, dtype=float)
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=float)
    centers = np.asarray(centers, dtype=float)
    return Lloyd(X, weight, len(centers), lambda _: centers, tol)


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_fit_as_scikit_learn_from_the_same_centres(k, weighted, blobs):
    X, _ = blobs(n=600, d=3, k=5, seed=k)
    weight = np.random.default_rng(0).uniform(0.2, 3, 600) if weighted else None
    init = X[np.random.default_rng(k).choice(600, k, replace=False)]
    theirs = sklearn.cluster.KMeans(k, init=init, n_init=1).fit(X, sample_weight=weight)
    ours = KMeans(k, init=init).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-10, atol=1e-10)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)
    assert ours.n_iter_ == theirs.n_iter_
    fresh = X[:50] + 0.1
    np.testing.assert_array_equal(ours.predict(fresh), theirs.predict(fresh))
    np.testing.assert_allclose(ours.transform(fresh), theirs.transform(fresh), rtol=1e-7)
    assert ours.score(fresh) == pytest.approx(theirs.score(fresh), rel=1e-10)


def test_an_empty_cluster_is_relocated_as_scikit_learn_does(blobs):
    X, _ = blobs(n=200, seed=3)
    init = np.concatenate([X[:3], [[1e3, 1e3, 1e3]]])
    theirs = sklearn.cluster.KMeans(4, init=init, n_init=1).fit(X)
    ours = KMeans(4, init=init).fit(X)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)


def test_the_farthest_row_fills_an_empty_cluster():
    lloyd = lloyd_for([[0.0], [1.0], [2.0], [9.0]], [[1.0], [100.0]])
    moved = lloyd.step(lloyd.start(np.random.default_rng(0))).parameters
    np.testing.assert_allclose(lloyd.centroids(moved).cluster_centers, [[1.0], [9.0]])


@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_inertia_never_rises(seed, k):
    rng = np.random.default_rng(seed)
    X, weight = rng.standard_t(2, size=(50, 2)), rng.uniform(0.1, 4, 50)
    kmeans = KMeans(k, init="random", n_init=1, random_state=seed, tol=0)
    infos = list(kmeans.fit_steps(X, weight))
    objectives = [info.objective for info in infos] + [kmeans.inertia_]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(objectives))
    assert not any(info.fell for info in infos)
    assert kmeans.inertia_ == pytest.approx(kmeans.centroids_.inertia(X, weight), rel=1e-10)


def test_the_labels_are_those_of_the_final_centres(blobs):
    X, _ = blobs(n=500)
    kmeans = KMeans(5, random_state=0, tol=10.0).fit(X)
    assert kmeans.n_iter_ < 5
    np.testing.assert_array_equal(kmeans.labels_, cdist(X, kmeans.cluster_centers_).argmin(axis=1))


def test_weights_count_like_repeated_rows(blobs):
    X, _ = blobs(n=120)
    counts = np.random.default_rng(0).integers(1, 5, 120)
    init = X[:3]
    weighted = KMeans(3, init=init, tol=0).fit(X, sample_weight=counts)
    repeated = KMeans(3, init=init, tol=0).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-10)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_, rel=1e-10)


@pytest.mark.parametrize("offset", [1e8, -1e12])
def test_an_offset_does_not_change_the_clusters(offset, blobs):
    X = np.round(blobs(n=300)[0] * 16) / 16
    plain, shifted = (KMeans(3, init=rows[:3]).fit(rows) for rows in (X, X + offset))
    np.testing.assert_array_equal(shifted.labels_, plain.labels_)
    assert shifted.inertia_ == pytest.approx(plain.inertia_, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-150, 1e-200, 1e150, 1e200])
def test_any_scale_of_the_data_gives_the_same_clusters(scale, blobs):
    X, _ = blobs(n=300)
    plain, scaled = (KMeans(3, random_state=1).fit(rows) for rows in (X, X * scale))
    np.testing.assert_array_equal(scaled.labels_, plain.labels_)
    np.testing.assert_allclose(scaled.cluster_centers_ / scale, plain.cluster_centers_, rtol=1e-9)
    assert scaled.n_iter_ == plain.n_iter_


def test_distances_and_labels_of_rows_far_away():
    centroids = Centroids(np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    rows = [[1e200, 0.0], [-1e200, 0.0], [0.0, 1e300], [0.9, 0.0]]
    np.testing.assert_array_equal(centroids.predict(rows), [1, 0, 2, 1])
    np.testing.assert_allclose(centroids.distances(rows)[:3, 0], [1e200, 1e200, 1e300])
    labels, distance = centroids.nearest(rows)
    np.testing.assert_array_equal(labels, [1, 0, 2, 1])
    assert distance[3] == pytest.approx(0.1)


def test_near_centres_far_from_the_origin_are_told_apart():
    # ‖x‖² − 2x·c + ‖c‖² would have an error of about 1 here.
    centers = np.array([[1e8, 0.0], [1e8 + 1, 0.0]])
    labels, squares = assign(np.array([[1e8 + 0.25, 0.0], [1e8 + 0.75, 0.0]]), centers)
    np.testing.assert_array_equal(labels, [0, 1])
    np.testing.assert_array_equal(squares, [0.0625, 0.0625])


def test_rows_farther_apart_than_any_float_are_refused():
    with pytest.raises(InvalidRows, match="scale the data"):
        KMeans(2, random_state=0).fit([[1.7e308], [-1.7e308]])


def test_labels_are_right_at_every_distance():
    """Against exact arithmetic: squared distances as fractions."""
    centers = np.array([[-1.0, 0.0], [1.0, 0.5], [0.0, 3.0]])
    centroids = Centroids(centers)
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.3], [0.2, -1.0], [0.7, 0.4]])
    for exponent in range(-3, 305, 2):
        rows = directions * 10.0**exponent
        for row, label in zip(rows, centroids.predict(rows), strict=True):
            squares = [
                sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, center, strict=True)) for center in centers
            ]
            assert squares[label] == min(squares)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_a_row_of_weight_zero_moves_nothing(init, blobs):
    X, _ = blobs(n=60)
    wild, weight = X.copy(), np.ones(60)
    wild[:5], weight[:5] = 1e200, 0
    with_them = KMeans(3, init=init, random_state=0).fit(wild, sample_weight=weight)
    without = KMeans(3, init=init, random_state=0).fit(X[5:])
    np.testing.assert_array_equal(with_them.cluster_centers_, without.cluster_centers_)
    np.testing.assert_array_equal(with_them.labels_[5:], without.labels_)
    assert with_them.inertia_ == without.inertia_
    assert with_them.labels_.shape == (60,)
    with pytest.raises(InvalidParameter, match="at most the number of rows, 2"):
        KMeans(3, init=init).fit(X, sample_weight=np.r_[1.0, 1.0, np.zeros(58)])


@pytest.mark.parametrize("far", [1e12, 1e18, 1e150])
def test_one_row_far_out_does_not_blur_the_others(far, blobs):
    X = np.concatenate([np.random.default_rng(0).normal(size=(40, 2)) + 9 * side for side in (0, 1)])
    labels = KMeans(3, n_init=3, random_state=0).fit(np.concatenate([X, [[far, 0.0]]])).labels_
    assert sorted(np.bincount(labels).tolist()) == [1, 40, 40]


def test_only_ratios_of_weights_matter(blobs):
    X, _ = blobs(n=60)
    plain = KMeans(3, random_state=0).fit(X)
    for weight in (2.0**-1074, 2.0**1000):
        weighted = KMeans(3, random_state=0).fit(X, sample_weight=np.full(60, weight))
        np.testing.assert_array_equal(weighted.cluster_centers_, plain.cluster_centers_)


def test_the_inertia_does_not_count_a_row_of_weight_zero(blobs):
    X, _ = blobs(n=60)
    wild, weight = np.concatenate([[[1e200, 0.0, -1e300]], X]), np.r_[0.0, np.linspace(0.5, 2, 60)]
    kmeans = KMeans(3, random_state=0).fit(X)
    assert kmeans.score(wild, sample_weight=weight) == pytest.approx(
        kmeans.score(X, sample_weight=weight[1:]), rel=1e-12
    )
    assert kmeans.centroids_.inertia(wild) == np.inf


SPARSE = [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix, sparse.lil_array]


def some_sparse(n=400, d=12):
    X = np.random.default_rng(4).normal(size=(n, d)) + 4 * np.repeat(np.eye(4, d), n // 4, axis=0)
    X[np.abs(X) < 1] = 0
    return X


@pytest.mark.parametrize("make", SPARSE)
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_sparse_rows_have_the_fit_of_dense_ones(make, init):
    X = some_sparse()
    start = X[[0, 100, 200, 300]]
    dense = KMeans(4, init=start).fit(X)
    thin = KMeans(4, init=start).fit(make(X))
    np.testing.assert_array_equal(thin.labels_, dense.labels_)
    np.testing.assert_allclose(thin.cluster_centers_, dense.cluster_centers_, rtol=1e-12, atol=1e-14)
    assert thin.inertia_ == pytest.approx(dense.inertia_, rel=1e-12)
    np.testing.assert_array_equal(thin.predict(make(X)), dense.predict(X))
    np.testing.assert_allclose(thin.transform(make(X)), dense.transform(X), rtol=1e-12)
    assert thin.score(make(X)) == pytest.approx(dense.score(X), rel=1e-12)
    seeded = [KMeans(4, init=init, n_init=2, random_state=0).fit(rows).inertia_ for rows in (X, make(X))]
    assert seeded[1] == pytest.approx(seeded[0], rel=0.2)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_sparse_rows_of_any_index_and_number(index, dtype):
    rows = sparse.csr_array((some_sparse() * 4).astype(dtype))
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    before = rows.toarray()
    kmeans = KMeans(4, random_state=0).fit(rows, sample_weight=np.r_[0.0, np.ones(399)])
    assert kmeans.labels_.shape == (400,)
    assert kmeans.cluster_centers_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(rows.toarray(), before)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_faults_among_sparse_rows_have_a_place(bad):
    X = some_sparse()
    X[7, 3] = bad
    with pytest.raises(InvalidRows) as refused:
        KMeans(2).fit(sparse.csc_array(X))
    assert (refused.value.row, refused.value.column) == (7, 3)
    with pytest.raises(InvalidRows, match="complex"):
        KMeans(2).fit(sparse.csr_array(np.eye(3) * 1j))
    with pytest.raises(InvalidRows, match="1-D"):
        KMeans(2).fit(sparse.coo_array(np.ones(3)))
    fitted = KMeans(2, random_state=0).fit(np.eye(4))
    with pytest.raises(InvalidRows, match="expecting 4 features"):
        fitted.predict(sparse.csr_array(np.eye(3)))


def test_a_sparse_value_given_in_parts_is_their_sum():
    X = some_sparse()
    halves = sparse.csr_array(X)
    halves = sparse.csr_array(
        (np.repeat(halves.data / 2, 2), np.repeat(halves.indices, 2), halves.indptr * 2), shape=X.shape
    )
    entries = halves.nnz
    thin, dense = (KMeans(4, init=X[:4]).fit(rows) for rows in (halves, X))
    np.testing.assert_allclose(thin.cluster_centers_, dense.cluster_centers_, rtol=1e-12, atol=1e-14)
    assert halves.nnz == entries
    huge = sparse.csr_array((np.full(4, 1e308), [1, 2, 2, 0], [0, 1, 3, 4]), shape=(3, 12))
    for verb in (KMeans(2).fit, thin.predict):
        with pytest.raises(InvalidRows, match="infinite value") as refused:
            verb(huge)
        assert (refused.value.row, refused.value.column) == (1, 2)


def test_sparse_rows_stay_sparse():
    import tracemalloc

    rows = sparse.random_array((60_000, 300), density=0.002, format="csr", rng=np.random.default_rng(0))
    tracemalloc.start()
    KMeans(3, init="random", n_init=1, max_iter=2, tol=1e9, random_state=0).fit(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000 * 300 * 8 / 4


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_a_start_on_a_subsample_finds_the_groups(init, rng):
    groups = np.repeat(np.arange(3), 3_000)
    X = rng.normal(size=(9_000, 2)) + groups[:, None] * 20
    kmeans = KMeans(3, init=init, n_init=4, init_size=200, random_state=0).fit(X)
    assert len(set(zip(groups.tolist(), kmeans.labels_.tolist(), strict=True))) == 3
    again = KMeans(3, init=init, n_init=4, init_size=200, random_state=0).fit(X)
    np.testing.assert_array_equal(kmeans.cluster_centers_, again.cluster_centers_)
    assert kmeans.inertia_ == pytest.approx(KMeans(3, random_state=0).fit(X).inertia_, rel=1e-9)


@pytest.mark.parametrize("init_size", [0, 2, 2.5, True, "10"])
def test_a_subsample_smaller_than_the_clusters_is_refused(init_size):
    with pytest.raises(InvalidParameter, match=r"init_size.*must be"):
        KMeans(3, init_size=init_size).fit(np.eye(5))


@pytest.mark.parametrize("offset", [0.0, 1e7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_labels_of_a_fit_are_those_it_predicts(offset, dtype, rng):
    X = (np.round(rng.normal(size=(12_000, 2)) * 4) / 4 + offset).astype(dtype)
    kmeans = KMeans(9, random_state=0).fit(X)
    np.testing.assert_array_equal(kmeans.labels_, kmeans.predict(X))
    np.testing.assert_array_equal(kmeans.labels_, kmeans.centroids_.nearest(X)[0])
