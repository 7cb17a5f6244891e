import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.cluster._kmeans import _mini_batch_step

import core.minibatch
from core.assignment import by_differences
from core.codebook import Codebook
from core.errors import ConvergenceWarning, InvalidParameter, InvalidRows, NotFittedError
from core.estimators import MiniBatchKMeans
from core.fit import State
from core.minibatch import Frame, Learned, MiniBatch, batch_frame, learn, mean_variance, reassign


def batches_of(X, size):
    return [X[start : start + size] for start in range(0, len(X), size)]


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_batches_teach_what_they_teach_scikit_learn(k, weighted, offset, blobs):
    X, _ = blobs(n=1500, d=3, k=5, seed=k)
    X += offset
    rng = np.random.default_rng(k)
    options = {"init": X[rng.choice(1500, k, replace=False)], "n_init": 1, "reassignment_ratio": 0.0}
    ours, theirs = (kind(k, **options) for kind in (MiniBatchKMeans, sklearn.cluster.MiniBatchKMeans))
    for batch in batches_of(X, 130):
        weight = rng.uniform(0.2, 3, len(batch)) if weighted else None
        for estimator in (ours, theirs):
            estimator.partial_fit(batch, sample_weight=weight)
        np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(ours.counts_, theirs._counts, rtol=1e-13)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-10)
    assert ours.n_steps_ == theirs.n_steps_ == 12
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-7)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-10)


def test_centres_are_the_means_of_all_rows_given_to_them(blobs):
    """Sculley's rate 1/v, row upon row, makes a running mean: of k = 1 centre, that of all rows seen."""
    X, _ = blobs(n=700)
    estimator = MiniBatchKMeans(1, init=[[9.0, 9.0, 9.0]])
    for batch in batches_of(X, 90):
        estimator.partial_fit(batch)
    np.testing.assert_allclose(estimator.cluster_centers_, [X.mean(axis=0)], rtol=1e-12)
    np.testing.assert_array_equal(estimator.counts_, [700])


def test_integer_weights_count_like_repeated_rows(blobs):
    X, _ = blobs(n=300)
    counts = np.random.default_rng(2).integers(0, 4, 300)
    weighted, repeated = (MiniBatchKMeans(4, init=X[:4], reassignment_ratio=0.0) for _ in range(2))
    for start in range(0, 300, 60):
        part = slice(start, start + 60)
        weighted.partial_fit(X[part], sample_weight=counts[part])
        repeated.partial_fit(np.repeat(X[part], counts[part], axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(weighted.counts_, repeated.counts_, rtol=1e-12)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_, rel=1e-10)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 9), gap=st.sampled_from([0.0, 1e-15, 1e-9, 1e-4, 1.0]))
@settings(max_examples=60, deadline=None)
def test_no_label_depends_on_the_rounding_of_a_product(seed, k, gap):
    rng = np.random.default_rng(seed)
    for dtype in (np.float32, np.float64):
        Z = (rng.normal(size=(40, 3)) * rng.choice([1, 1e-3, 50])).astype(dtype)
        centers = np.concatenate([rng.normal(size=(k, 3)), rng.normal(size=(1, 3)) + gap * rng.normal(size=(3, 3))])
        squares = cdist(Z.astype(float), centers, "sqeuclidean")
        labels = Codebook.of(centers).labels(Z)
        chosen = squares[np.arange(40), labels]
        assert (chosen <= squares.min(axis=1) * (1 + 1e-14)).all()
        np.testing.assert_array_equal(labels, by_differences(Z.astype(float), centers)[0])


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e150, 1e170, 1e300])
def test_labels_of_extreme_rows_are_those_of_differences(scale):
    rng = np.random.default_rng(0)
    Z, centers = rng.normal(size=(50, 3)) * scale, rng.normal(size=(4, 3))
    for near in (centers, centers * scale):
        np.testing.assert_array_equal(Codebook.of(near).labels(Z), by_differences(Z, near)[0])


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("n", [1, 7, 50])
def test_few_rows_make_a_centre_move_as_in_scikit_learn(ratio, n):
    rng = np.random.default_rng(n)
    X, centers = rng.normal(size=(n, 2)), rng.normal(size=(10, 2))
    counts = rng.integers(0, 40, 10).astype(float)
    theirs, their_counts = np.empty_like(centers), counts.copy()
    _mini_batch_step(X, np.ones(n), centers, theirs, their_counts, np.random.RandomState(0), True, ratio)
    after, _ = learn(Learned(centers, counts), X, None, rng, reassignment_ratio=0.0)
    ours = reassign(after, X, ratio, rng)
    np.testing.assert_array_equal(ours.counts, their_counts)
    moved = (theirs[:, None] == X).all(axis=2).any(axis=1)
    kept = ~moved | (after.counts == ours.counts)
    np.testing.assert_allclose(ours.centers[kept & ~moved], theirs[kept & ~moved], rtol=1e-12)
    chosen = [tuple(center) for center in ours.centers[ours.counts != after.counts]]
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {tuple(row) for row in X}


def test_reassignment_is_due_by_empty_centres_and_by_rows_seen():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 2))
    centers = np.concatenate([X[:2], [[50.0, 50.0]]])
    counts = np.array([500.0, 500.0, 1.0])
    once, _ = learn(Learned(centers, counts), X, None, rng, reassignment_ratio=0.5)
    assert once.since == 12
    np.testing.assert_array_equal(once.centers[2], [50, 50])
    twice, _ = learn(once, X, None, rng, reassignment_ratio=0.5)
    assert twice.since == 24
    thrice, _ = learn(twice, X, None, rng, reassignment_ratio=0.5)
    assert thrice.since == 0
    assert (thrice.centers[2] < 50).all()
    empty, _ = learn(Learned(centers, np.array([500.0, 500.0, 0.0])), X, None, rng, reassignment_ratio=0.5)
    assert empty.since == 0
    assert (empty.centers[2] < 50).all()


@pytest.mark.parametrize("max_no_improvement", [0, 1, 3, None])
@pytest.mark.parametrize("batch_size", [40, 100])
def test_convergence_is_scikit_learns(max_no_improvement, batch_size, monkeypatch, blobs):
    """The same inertias of batches, one after another, to both rules."""
    X, _ = blobs(n=100)
    inertias = list(np.random.default_rng(3).uniform(5, 6, 40) * np.linspace(2, 1, 40) * batch_size)
    given_inertias = iter(inertias)
    monkeypatch.setattr(core.minibatch, "learn", lambda learned, *_, **__: (learned, next(given_inertias)))
    options = {"batch_size": batch_size, "max_no_improvement": max_no_improvement}
    ours = MiniBatchKMeans(3, max_iter=40 * batch_size // 100, random_state=0, **options)
    infos = list(ours.fit_steps(X))
    theirs = sklearn.cluster.MiniBatchKMeans(3, **options)
    theirs._batch_size, theirs._tol = batch_size, 0.0
    theirs._ewa_inertia = theirs._ewa_inertia_min = None
    theirs._no_improvement = 0
    for step, inertia in enumerate(inertias[: len(infos)]):
        converged = theirs._mini_batch_convergence(step, 40, 100, 0, inertia)
        assert converged == infos[step].converged
        smoothed = theirs._ewa_inertia if step else inertia / batch_size
        assert infos[step].objective == pytest.approx(smoothed * 100, rel=1e-12)
        assert not infos[step].fell
    assert converged or len(infos) == 40 * batch_size // 100 * 100 // batch_size


def test_still_centres_are_convergence(blobs, capsys):
    X, _ = blobs(n=300)
    estimator = MiniBatchKMeans(3, tol=0.05, max_no_improvement=None, batch_size=100, random_state=0, verbose=1)
    estimator.fit(X)
    assert estimator.converged_
    assert "Converged (small centers change)" in capsys.readouterr().out
    with pytest.warns(ConvergenceWarning, match="no convergence in 6 batches"):
        assert not estimator.set_params(tol=1e-12, max_iter=2, verbose=0).fit(X).converged_
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing was asked for, nothing was missed
        assert not estimator.set_params(tol=0.0).fit(X).converged_


def test_a_fit_finds_clear_groups_and_tells_of_them(rng):
    groups = np.repeat([0, 1, 2], 500)
    X = rng.normal(size=(1500, 2)) + np.array([[0, 0], [12, 0], [0, 12]])[groups]
    estimator = MiniBatchKMeans(3, batch_size=100, random_state=1).fit(X)
    assert len(set(zip(groups.tolist(), estimator.labels_.tolist(), strict=True))) == 3
    assert estimator.inertia_ == pytest.approx(-estimator.score(X), rel=1e-12)
    assert len(estimator.inertias_) == estimator.n_steps_
    assert estimator.n_iter_ == -(-estimator.n_steps_ * 100 // 1500)
    quick = MiniBatchKMeans(3, batch_size=100, random_state=1, compute_labels=False).fit(X)
    np.testing.assert_array_equal(quick.cluster_centers_, estimator.cluster_centers_)
    assert quick.inertia_ == quick.inertias_[-1] == pytest.approx(estimator.inertia_, rel=0.1)
    with pytest.raises(AttributeError, match="compute_labels"):
        _ = quick.labels_


@pytest.mark.parametrize("name", ["fit", "partial_fit"])
def test_an_offset_does_not_change_the_centres(name, blobs):
    X = np.round(blobs(n=400)[0] * 2**20) / 2**20
    plain, shifted = (MiniBatchKMeans(4, random_state=0, batch_size=100) for _ in range(2))
    for rows in batches_of(X, 400 if name == "fit" else 80):
        getattr(plain, name)(rows)
        getattr(shifted, name)(rows + 1e8)
    np.testing.assert_array_equal(shifted.labels_, plain.labels_)
    np.testing.assert_allclose(shifted.cluster_centers_ - 1e8, plain.cluster_centers_, atol=1e-7)
    np.testing.assert_array_equal(shifted.counts_, plain.counts_)
    assert shifted.inertia_ == pytest.approx(plain.inertia_, rel=1e-7)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_any_scale_of_the_data_gives_the_same_centres(scale, blobs):
    X, _ = blobs(n=300)
    plain, scaled = (MiniBatchKMeans(3, random_state=1, batch_size=100, tol=1e-3).fit(rows) for rows in (X, X * scale))
    np.testing.assert_array_equal(scaled.labels_, plain.labels_)
    np.testing.assert_allclose(scaled.cluster_centers_ / scale, plain.cluster_centers_, rtol=1e-9)
    assert scaled.n_steps_ == plain.n_steps_


def test_float32_rows_stay_float32(blobs):
    X = blobs(n=600)[0].astype(np.float32)
    single, double = (MiniBatchKMeans(3, init=X[:3], reassignment_ratio=0.0) for _ in range(2))
    for batch in batches_of(X, 100):
        single.partial_fit(batch)
        double.partial_fit(batch.astype(np.float64))
    assert single.cluster_centers_.dtype == np.float32
    np.testing.assert_allclose(single.cluster_centers_, double.cluster_centers_, rtol=1e-5)
    np.testing.assert_array_equal(single.counts_, double.counts_)
    assert MiniBatchKMeans(3, random_state=0).fit(X).cluster_centers_.dtype == np.float32


@pytest.mark.parametrize("weighted", [False, True])
def test_resuming_anywhere_gives_the_same_bits(weighted, blobs):
    X, _ = blobs(n=150)
    weight = np.random.default_rng(1).uniform(0.5, 2, 150) if weighted else None

    def make(seed):
        return MiniBatchKMeans(4, init="random", batch_size=30, tol=1e-4, random_state=seed, reassignment_ratio=0.3)

    whole = make(5)
    infos, states = [], []
    for info in whole.fit_steps(X, weight):
        infos.append(info)
        states.append({name: np.asarray(array) for name, array in whole.state_.to_arrays().items()})
    assert len(infos) > 5
    for cut in range(len(infos)):
        resumed = make(99)  # the state brings its own random numbers
        assert list(resumed.fit_steps(X, weight, state=State.from_arrays(states[cut]))) == infos[cut + 1 :]
        np.testing.assert_array_equal(resumed.cluster_centers_, whole.cluster_centers_)
        np.testing.assert_array_equal(resumed.counts_, whole.counts_)
        assert resumed.inertias_ == whole.inertias_
        assert resumed.inertia_ == whole.inertia_


def test_chunks_of_a_large_batch_give_the_same_bits_on_any_threads(monkeypatch, blobs):
    X, _ = blobs(n=2000)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 300)
    fits = []
    for cores in (1, 2, 5):
        monkeypatch.setattr("core.threads.usable_cores", lambda cores=cores: cores)
        fits.append(MiniBatchKMeans(4, batch_size=1500, random_state=0).fit(X).partial_fit(X))
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.cluster_centers_, fits[0].cluster_centers_)
        np.testing.assert_array_equal(fit.counts_, fits[0].counts_)


def test_rows_are_drawn_by_weight(rng):
    X = rng.normal(size=(200, 1))
    weight = rng.uniform(0, 1, 200) * (X[:, 0] > 0)
    options = {"batch_size": 200, "max_no_improvement": None, "max_iter": 200, "random_state": 0}
    estimator = MiniBatchKMeans(1, **options).fit(X, sample_weight=weight)
    # Some 20 000 draws of rows whose deviation is below 1: four standard errors are 0.03.
    assert estimator.cluster_centers_[0, 0] == pytest.approx(np.average(X[:, 0], weights=weight), abs=0.03)
    assert estimator.counts_[0] == 200 * np.count_nonzero(weight)


def test_only_ratios_of_weights_matter_to_a_fit(blobs):
    X, _ = blobs(n=60)
    plain = MiniBatchKMeans(3, random_state=0).fit(X)
    for weight in (2.0**-1074, 2.0**1000):
        weighted = MiniBatchKMeans(3, random_state=0).fit(X, sample_weight=np.full(60, weight))
        np.testing.assert_array_equal(weighted.cluster_centers_, plain.cluster_centers_)


@pytest.mark.parametrize("name", ["fit", "partial_fit"])
def test_a_row_of_weight_zero_moves_nothing(name, blobs):
    X, _ = blobs(n=60)
    wild, weight = X.copy(), np.ones(60)
    wild[:5], weight[:5] = 1e200, 0
    with_them, without = (MiniBatchKMeans(3, random_state=0) for _ in range(2))
    getattr(with_them, name)(wild, sample_weight=weight)
    getattr(without, name)(X[5:], sample_weight=np.ones(55))
    np.testing.assert_array_equal(with_them.cluster_centers_, without.cluster_centers_)
    np.testing.assert_array_equal(with_them.labels_[5:], without.labels_)
    assert with_them.labels_.shape == (60,)


def test_labels_of_a_batch_are_those_it_had_when_it_was_learned_from(blobs):
    X, _ = blobs(n=200)
    buffer = X[:100].copy()
    estimator = MiniBatchKMeans(3, random_state=0).partial_fit(buffer)
    expected = estimator.predict(buffer)
    buffer[:] = 0
    again = pickle.loads(pickle.dumps(estimator))
    for one in (estimator, again):
        np.testing.assert_array_equal(one.labels_, expected)
        assert one.inertia_ == pytest.approx(-one.score(X[:100]), rel=1e-12)
    again.partial_fit(X[100:])
    np.testing.assert_array_equal(again.labels_, again.predict(X[100:]))
    with pytest.raises(NotFittedError):
        _ = MiniBatchKMeans().labels_


def test_batches_go_on_where_a_fit_ended(blobs):
    X, _ = blobs(n=500)
    estimator = MiniBatchKMeans(3, random_state=0, batch_size=100, reassignment_ratio=0.0).fit(X)
    steps, counts = estimator.n_steps_, estimator.counts_
    before = estimator.cluster_centers_
    estimator.partial_fit(X[:50])
    share = np.bincount(estimator.labels_, minlength=3)
    assert estimator.n_steps_ == steps + 1
    assert estimator.counts_.sum() == counts.sum() + 50
    assert np.abs(estimator.cluster_centers_ - before).max() < 5 * (share / estimator.counts_).max()
    assert not hasattr(estimator, "inertias_")


def test_the_start_is_the_best_of_several_on_some_rows(blobs):
    X, _ = blobs(n=300)
    good = X[[0, 1, 2]]
    bad = [good + 40, good + 90]
    calls = []

    def init(rows, k, random_state):
        calls.append(rows.shape)
        return [bad[0], good, bad[1]][len(calls) - 1]

    options = {"batch_size": 20, "max_iter": 1, "random_state": 0, "reassignment_ratio": 0.0}
    estimator = MiniBatchKMeans(3, init=init, **options)
    next(estimator.fit_steps(X))
    assert calls == [(60, 3)] * 3
    given_start = MiniBatchKMeans(3, init=good, **options)
    next(given_start.fit_steps(X))
    np.testing.assert_allclose(
        estimator.state_.parameters["centers"].mean(axis=0),
        given_start.state_.parameters["centers"].mean(axis=0),
        atol=5,
    )


@pytest.mark.parametrize(("options", "rows"), [({}, 15), ({"batch_size": 1}, 30), ({"init_size": 999}, 300)])
def test_a_start_sees_three_batches_or_enough_for_the_clusters(options, rows, blobs):
    X, _ = blobs(n=300)
    seen = []

    def init(sample, k, random_state):
        seen.append(len(sample))
        return sample[:k]

    next(MiniBatchKMeans(10, init=init, n_init=1, **({"batch_size": 5} | options)).fit_steps(X))
    assert seen == [rows]


INVALID = [
    *({"n_clusters": value} for value in (True, 0, 2.5, "2", None, 11)),
    *({"batch_size": value} for value in (0, 2.0, "9", True, None)),
    *({"tol": value} for value in (-1.0, np.nan, "x", True)),
    *({"max_iter": value} for value in (0, 1.5, True)),
    *({"max_no_improvement": value} for value in (-1, 2.0, "no", True)),
    *({"init_size": value} for value in (0, 2.0, True)),
    *({"n_init": value} for value in (0, "many", 1.5, True, None)),
    *({"init": value} for value in ("kmeans", [[0.0, 0.0]], [[np.nan, 0.0]] * 2, None, np.zeros((2, 3)))),
    *({"reassignment_ratio": value} for value in (-0.1, 1.5, np.nan, "a", True)),
    *({"compute_labels": value} for value in (1, "yes", None)),
    *({"random_state": value} for value in (-1, "0", True)),
    *({"verbose": value} for value in (-1, "yes", 1.5)),
]


@pytest.mark.parametrize("bad", INVALID, ids=repr)
def test_every_parameter_is_refused_by_name(bad):
    estimator = MiniBatchKMeans(2).set_params(**bad)
    X = np.random.default_rng(0).normal(size=(10, 2))
    for attempt in (
        lambda: estimator.check_parameters(10, 2),
        lambda: estimator.fit(X),
        lambda: estimator.partial_fit(X),
    ):
        with pytest.raises(InvalidParameter) as refused:
            attempt()
        assert refused.value.name == next(iter(bad))
        assert "must" in str(refused.value)


def test_a_batch_refused_teaches_nothing(blobs):
    X, _ = blobs(n=60)
    estimator = MiniBatchKMeans(3, random_state=0)
    with pytest.raises(InvalidParameter, match="at most the number of rows, 2"):
        estimator.partial_fit(X[:2])
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    estimator.partial_fit(X[:30])
    before = pickle.dumps(estimator)
    for bad in (X[:5, :2], np.full((4, 3), np.nan), np.empty((0, 3))):
        with pytest.raises(InvalidRows):
            estimator.partial_fit(bad)
    with pytest.raises(InvalidParameter):
        estimator.partial_fit(X[:5], sample_weight=np.zeros(5))
    with pytest.raises(InvalidParameter, match="reassignment_ratio"):
        estimator.set_params(reassignment_ratio=2.0).partial_fit(X[30:])
    assert pickle.dumps(estimator.set_params(reassignment_ratio=0.01)) == before
    estimator.partial_fit(X[:1])  # fewer rows than clusters are a batch like any other
    assert estimator.n_steps_ == 2


def test_more_clusters_than_distinct_rows():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="only 2 of 3 clusters"):
        estimator = MiniBatchKMeans(3, random_state=0).fit(X)
    assert estimator.inertia_ == 0
    assert np.isfinite(MiniBatchKMeans(3, random_state=0).partial_fit(X).cluster_centers_).all()


def test_arguments_that_are_ignored_are_warned_of(blobs):
    X, _ = blobs(n=60)
    with pytest.warns(RuntimeWarning, match="performing only one init in MiniBatchKMeans instead of n_init=4"):
        MiniBatchKMeans(3, init=X[:3], n_init=4).fit(X)
    with pytest.warns(RuntimeWarning, match=r"init_size=2 should be larger than n_clusters=3"):
        MiniBatchKMeans(3, init_size=2).partial_fit(X)


def test_step_is_a_function(blobs):
    X, _ = blobs(n=90)
    fit = MiniBatch(X, np.ones(90), 3, lambda rng: X[:3], 30)
    progress = fit.start(np.random.default_rng(0))
    first, second = fit.step(progress), fit.step(progress)
    np.testing.assert_array_equal(first.parameters.learned.centers, second.parameters.learned.centers)
    assert first.objective == second.objective
    other = fit.step(first.parameters)
    assert other.objective != first.objective


FORMATS = [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix, sparse.lil_array, sparse.dok_array]


def some_sparse(n=400, d=12):
    X = np.random.default_rng(4).normal(size=(n, d)) + 4 * np.repeat(np.eye(4, d), n // 4, axis=0)
    X[np.abs(X) < 1] = 0
    return X


def the_same(thin, dense, X, make):
    np.testing.assert_array_equal(thin.cluster_centers_, dense.cluster_centers_)
    np.testing.assert_array_equal(thin.counts_, dense.counts_)
    np.testing.assert_array_equal(thin.labels_, dense.labels_)
    assert thin.inertia_ == pytest.approx(dense.inertia_, rel=1e-12)
    assert thin.n_steps_ == dense.n_steps_
    np.testing.assert_array_equal(thin.predict(make(X)), dense.predict(X))
    np.testing.assert_allclose(thin.transform(make(X)), dense.transform(X), rtol=1e-12)
    assert thin.score(make(X)) == pytest.approx(dense.score(X), rel=1e-12)


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random", "array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_have_the_fit_of_dense_ones(make, weighted, init, dtype):
    X = some_sparse().astype(dtype)
    weight = np.random.default_rng(1).uniform(0, 2, 400) * (np.arange(400) % 9 > 0) if weighted else None
    options = {"init": X[[0, 100, 200, 300]] if init == "array" else init, "batch_size": 60, "random_state": 3}
    dense, thin = (MiniBatchKMeans(4, tol=1e-3, **options).fit(rows, sample_weight=weight) for rows in (X, make(X)))
    the_same(thin, dense, X, make)
    assert thin.cluster_centers_.dtype == dtype
    # And on from there, with batches.
    for estimator, rows in ((dense, X[:50]), (thin, make(X[:50]))):
        estimator.partial_fit(rows, sample_weight=None if weight is None else weight[:50])
    the_same(thin, dense, X, make)


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sparse_batches_teach_what_dense_ones_teach(make, weighted, offset):
    X = some_sparse() + offset
    weight = np.random.default_rng(1).uniform(0, 2, 400) * (np.arange(400) % 9 > 0) if weighted else None
    dense, thin = (MiniBatchKMeans(4, random_state=3, reassignment_ratio=0.3) for _ in range(2))
    for start in range(0, 400, 80):
        part = slice(start, start + 80)
        for estimator, rows in ((dense, X[part]), (thin, make(X[part]))):
            estimator.partial_fit(rows, sample_weight=None if weight is None else weight[part])
    the_same(thin, dense, X, make)


def test_sparse_rows_far_from_the_origin_or_of_any_size_have_the_clusters_of_dense_ones():
    X = some_sparse()
    for rows in (X + 1e6, X * 2.0**500, X * 2.0**-500):
        dense, thin = (MiniBatchKMeans(4, init=rows[[0, 100, 200, 300]], random_state=3, batch_size=60) for _ in "12")
        dense.fit(rows)
        thin.fit(sparse.csr_array(rows))
        np.testing.assert_array_equal(thin.labels_, dense.labels_)
        np.testing.assert_allclose(thin.cluster_centers_, dense.cluster_centers_, rtol=1e-12)


def test_a_function_sees_the_sparse_rows_of_its_start():
    X = sparse.csr_array(some_sparse())
    seen = []

    def init(rows, k, random_state):
        seen.append(rows)
        return rows[:k].toarray()

    MiniBatchKMeans(4, init=init, n_init=2, batch_size=40, random_state=0).fit(X)
    assert [(rows.format, rows.shape) for rows in seen] == [("csr", (120, 12))] * 2


@pytest.mark.parametrize("name", ["fit", "partial_fit", "predict", "score"])
@pytest.mark.parametrize(("bad", "words"), [(np.nan, "NaN"), (-np.inf, "infinite")])
def test_faults_among_sparse_rows_have_a_place(name, bad, words):
    X = some_sparse()
    estimator = MiniBatchKMeans(2, random_state=0).partial_fit(X)
    before = pickle.dumps(estimator)
    X[7, 3] = bad
    for make in (sparse.csr_array, sparse.csc_array):
        with pytest.raises(InvalidRows, match=words) as refused:
            getattr(estimator, name)(make(X))
        assert (refused.value.row, refused.value.column) == (7, 3)
    assert pickle.dumps(estimator) == before
    with pytest.raises(InvalidRows, match="expecting 12 features"):
        estimator.partial_fit(sparse.csr_array(np.eye(3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_variance_of_tol_is_that_of_all_rows(dtype, make, offset, monkeypatch):
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MIN", 64)
    monkeypatch.setattr("core.rows.CHUNK_ROWS_MAX", 64)
    X = (some_sparse() * np.geomspace(0.1, 10, 12) + offset).astype(dtype)
    for frame in (Frame(np.zeros(12), 1.0), Frame(np.full(12, offset), 4.0), batch_frame(make(X))):
        expected = np.var(X.astype(np.float64) / frame.scale, axis=0).mean()
        assert mean_variance(make(X), frame) == pytest.approx(expected, rel=1e-5 if dtype == np.float32 else 1e-12)


def test_sparse_rows_stay_sparse():
    rows = sparse.random_array((60_000, 300), density=0.002, format="csr", rng=np.random.default_rng(0))
    tracemalloc.start()
    estimator = MiniBatchKMeans(3, init="random", tol=1e-3, batch_size=200, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(rows, sample_weight=np.arange(60_000.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000 * 300 * 8 / 8
