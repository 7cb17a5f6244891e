import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from core.covariance import COVARIANCES
from core.em import EM
from core.kmeans import Lloyd
from core.mixture import Mixture, combine, e_step
from core.rows import Chunk, chunk_rows, chunk_slices, map_reduce, one_blas_thread


@given(st.integers(1, 300_000), st.integers(1, 10_000), st.integers(1, 500))
def test_slices_cover_the_rows_once_in_order(n, d, k):
    slices = chunk_slices(n, d, k)
    assert slices[0].start == 0
    assert slices[-1].stop == n
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))
    assert len({part.stop - part.start for part in slices[:-1]}) <= 1


def test_chunks_are_views_that_know_their_place(rng):
    X, weight = rng.normal(size=(100_000, 8)), np.ones(100_000)
    chunks = chunk_rows(X, weight, 8)
    assert len(chunks) > 2
    for chunk in chunks:
        assert chunk.X.base is X
        np.testing.assert_array_equal(chunk.X[0], X[chunk.start])


def shuffled_map(function, items):
    """Computes in a scrambled order, returns in the right one."""
    items = list(items)
    order = np.random.default_rng(1).permutation(len(items))
    results = {int(i): function(items[i]) for i in order}
    return [results[i] for i in range(len(items))]


def threaded_map(function, items):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(function, items))


def same_bits(a, b):
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("other", [shuffled_map, threaded_map])
@pytest.mark.parametrize("name", COVARIANCES)
def test_em_gives_the_same_bits_however_chunks_are_scheduled(other, name, rng):
    X = rng.normal(size=(9_000, 40))
    weight = rng.uniform(0.5, 2, 9_000)
    results = []
    for chunk_map in (map, other):
        em = EM(X, weight, 80, COVARIANCES[name], "random", chunk_map=chunk_map)
        assert len(em.chunks) > 1
        mixture = em.start(np.random.default_rng(3))
        step = em.step(mixture)
        results.append([step.objective, *em.pack(step.parameters).values()])
    assert same_bits(*results)


@pytest.mark.parametrize("other", [shuffled_map, threaded_map])
def test_lloyd_gives_the_same_bits_however_chunks_are_scheduled(other, rng):
    X = rng.normal(size=(30_000, 20))
    centers = X[:30].copy()
    centers[3] = 1e6  # an empty cluster, to be relocated
    steps = [
        (lloyd := Lloyd(X, np.ones(30_000), 30, lambda _: centers, chunk_map=chunk_map)).step(lloyd.start(rng))
        for chunk_map in (map, other)
    ]
    assert same_bits(*[[step.objective, step.shift, step.parameters] for step in steps])


def test_results_do_not_depend_on_the_threads_of_blas(rng):
    from threadpoolctl import threadpool_limits

    X = rng.normal(size=(4_000, 60))
    mixture = Mixture.from_parameters([1.0], [[0.0] * 60], np.eye(60), "tied")
    structure = type(mixture.covariance)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            total = map_reduce(partial(e_step, mixture), chunk_rows(X, np.ones(4_000), 1), partial(combine, structure))
        results.append([total.log_likelihood, total.means, total.scatter])
    assert same_bits(*results)


def test_reduction_follows_the_order_of_the_chunks():
    chunks = [Chunk(np.zeros((1, 1)), np.ones(1), start) for start in range(5)]
    assert map_reduce(lambda c: [c.start], chunks, lambda a, b: a + b, shuffled_map) == [0, 1, 2, 3, 4]


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_the_last_to_leave_restores_the_threads_of_blas():
    before = blas_threads()
    outer, inner = one_blas_thread(), one_blas_thread()
    outer.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(inner.__enter__).result()
        outer.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        pool.submit(inner.__exit__, None, None, None).result()
        assert blas_threads() == before
