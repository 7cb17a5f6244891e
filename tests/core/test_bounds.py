import numpy as np
import pytest

from core.assignment import by_differences
from core.bounds import reassign
from core.estimators import KMeans
from core.frames import FramedRows
from core.kmeans import Lloyd
from core.threads import thread_map


def make(kind, n, d, rng):
    X = rng.normal(size=(n, d))
    if kind == "blobs":
        X += rng.integers(0, 6, n)[:, None] * 4
    if kind == "ties":
        X = rng.integers(0, 4, (n, d)).astype(float)
    if kind == "heavy tails":
        X = rng.standard_t(1, size=(n, d))
    if kind == "far":
        X[0], X[1, 0] = 1e12, -1e9
    if kind == "farther":
        X[0] = 1e150
    if kind == "small":
        X *= 1e-200
    if kind == "offset":
        X += 1e9
    if kind == "repeated":
        X = X[rng.integers(0, 5, n)]
    if kind == "float32":
        X = X.astype(np.float32)
    if kind == "scales":
        X *= 10.0 ** rng.integers(-8, 8, d)
    return X


KINDS = ["blobs", "ties", "heavy tails", "far", "farther", "small", "offset", "repeated", "float32", "scales"]
SHAPES = [
    (300, 2, 3, "none"),
    (900, 5, 11, "some"),
    (11_000, 2, 40, "wide"),
    (1_500, 4, 1_100, "none"),
    (90, 3, 1, "some"),
]


@pytest.mark.parametrize(("n", "d", "k", "weights"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_change_the_work_and_no_bit(kind, n, d, k, weights, rng, monkeypatch):
    monkeypatch.setattr("core.bounds.BOUNDS_PAY", 0)
    if kind == "repeated" and k > 100:
        n, k = 200, 7
    X = make(kind, n, d, rng)
    weight = {"none": np.ones(n), "some": rng.uniform(0.2, 3, n), "wide": 10.0 ** rng.uniform(-9, 9, n)}[weights]
    init = X[rng.choice(n, k, replace=False)].astype(float)
    init[0] += np.abs(X).max()
    lloyd = Lloyd(X, weight, k, lambda _: init)
    centers = lloyd.start(rng)
    Z = np.concatenate([chunk.exact(slice(None)) for chunk in lloyd.rows.chunks])
    for _ in range(8):
        carried, afresh = lloyd.assigned(centers), reassign(None, centers, lloyd.rows)
        np.testing.assert_array_equal(carried.labels, by_differences(Z, centers)[0])
        np.testing.assert_array_equal(carried.labels, afresh.labels)
        np.testing.assert_array_equal(carried.sums, afresh.sums)
        np.testing.assert_array_equal(carried.weights, afresh.weights)
        step = lloyd.step(centers)
        resumed = Lloyd(X, weight, k, lambda _: init).step(centers)
        assert (step.objective, step.shift) == (resumed.objective, resumed.shift)
        np.testing.assert_array_equal(step.parameters, resumed.parameters)
        centers = step.parameters


def test_most_rows_are_not_looked_at_again(blobs, monkeypatch):
    monkeypatch.setattr("core.bounds.BOUNDS_PAY", 0)
    X, _ = blobs(n=3_000, d=4, k=6, distance=5.0)
    lloyd = Lloyd(X, np.ones(3_000), 6, lambda _: X[:6])
    centers = lloyd.start(np.random.default_rng(0))
    looked = []
    for _ in range(30):
        looked.append(lloyd.assigned(centers).looked)
        centers = lloyd.step(centers).parameters
    assert looked[0] == 3_000
    assert min(looked) < 300


def test_a_row_far_from_the_start_does_not_blur_the_clocks(blobs, monkeypatch):
    monkeypatch.setattr("core.bounds.BOUNDS_PAY", 0)
    X, _ = blobs(n=600, d=3, k=4)
    init = X[:4] + np.array([[1e9], [0], [0], [0]])
    lloyd = Lloyd(X, np.ones(600), 4, lambda _: init)
    centers = lloyd.start(np.random.default_rng(0))
    for _ in range(25):
        looked = lloyd.assigned(centers).looked
        centers = lloyd.step(centers).parameters
    assert looked < 300


@pytest.mark.parametrize("cancels", [False, True])
def test_the_inertia_of_a_step_is_that_of_differences(cancels, rng):
    # Groups this tight leave no digits of Σ w ‖z‖² less what the centres explain.
    X = rng.integers(0, 3, 500)[:, None] * 1e3 + rng.normal(size=(500, 4)) * (1e-6 if cancels else 300)
    weight = rng.uniform(0.5, 2, 500)
    lloyd = Lloyd(X, weight, 3, lambda _: X[[int(np.abs(X[:, 0] - at).argmin()) for at in (0, 1e3, 2e3)]] + 1e-7)
    centers = lloyd.start(rng)
    given = lloyd.centroids(centers).cluster_centers
    squares = ((X.astype(np.longdouble)[:, None] - given.astype(np.longdouble)) ** 2).sum(axis=2).min(axis=1)
    expected = float(weight.astype(np.longdouble) @ squares)
    assert lloyd.inertia(lloyd.step(centers).objective) == pytest.approx(expected, rel=1e-6 if cancels else 1e-12)
    assert lloyd.finish(centers, 0.0) == pytest.approx(lloyd.step(centers).objective, rel=1e-12)


def test_frames_of_chunks_make_the_same_rows(rng, monkeypatch):
    monkeypatch.setattr("core.frames.CHUNK_VALUES", 2**19)
    X = rng.normal(size=(23_457, 3))
    rows = FramedRows.of(X, np.ones(23_457), 60)
    assert len(rows.chunks) > 2
    Z = (X - rows.offset) / rows.scale
    np.testing.assert_array_equal(np.concatenate([chunk.exact(slice(None)) for chunk in rows.chunks]), Z)
    assert rows.variance == pytest.approx(Z.var(axis=0).mean(), rel=1e-12)
    assert rows.square == pytest.approx((Z**2).sum(), rel=1e-13)
    for chunk in rows.chunks:
        blocks = np.concatenate([chunk.blocks(part) for part in chunk.batches(60)])
        columns = blocks.swapaxes(1, 2).reshape(-1, 5)[: chunk.n_samples]
        Z = chunk.exact(slice(None))
        np.testing.assert_allclose(
            columns, np.column_stack([Z, np.ones(len(Z)), (Z**2).sum(axis=1)]), rtol=1e-6, atol=1e-7
        )


def shuffled(function, items):
    """Computes in a scrambled order, returns in the right one."""
    items = list(items)
    results = {int(i): function(items[i]) for i in np.random.default_rng(1).permutation(len(items))}
    return [results[i] for i in range(len(items))]


@pytest.mark.parametrize("other", [shuffled, thread_map])
def test_a_fit_has_the_same_bits_however_chunks_are_scheduled(other, rng, monkeypatch):
    monkeypatch.setattr("core.bounds.THREADS_PAY", 0)
    monkeypatch.setattr("core.far_apart.THREADS_PAY", 0)
    monkeypatch.setattr("core.frames.CHUNK_VALUES", 2**18)
    X = rng.normal(size=(30_000, 6)) + np.repeat(np.eye(30, 6) * 3, 1_000, axis=0)
    fits = []
    for chunk_map in (map, other):
        kmeans = KMeans(30, random_state=0)
        for _ in kmeans.fit_steps(X, chunk_map=chunk_map):
            pass
        fits.append(kmeans)
    assert len(FramedRows.of(X, np.ones(30_000), 30).chunks) > 2
    np.testing.assert_array_equal(fits[0].cluster_centers_, fits[1].cluster_centers_)
    np.testing.assert_array_equal(fits[0].labels_, fits[1].labels_)
    assert fits[0].inertias_ == fits[1].inertias_
    assert fits[0].inertia_ == fits[1].inertia_
