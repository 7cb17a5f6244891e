"""The mapping over chunks is a parameter: processes and joblib run the very same step."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed

from core import GaussianMixture, KMeans
from core.covariance import COVARIANCES
from core.types import MapLike


@contextmanager
def processes() -> Iterator[MapLike]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool.map


@contextmanager
def joblib() -> Iterator[MapLike]:
    def joblib_map(function: Callable[[Any], Any], items: Iterable[Any], /) -> list[Any]:
        results: list[Any] = Parallel(n_jobs=2)(delayed(function)(item) for item in items)
        return results

    yield joblib_map


@pytest.mark.parametrize("other", [processes, joblib])
def test_processes_give_the_same_bits(other, rng):
    # Wide enough for a matrix product to be worth several threads to BLAS, which would change its rounding.
    X = rng.normal(size=(6000, 100)) + np.repeat([[0.0], [3.0]], 3000, axis=0)
    with other() as mapped:
        for build in (
            *(lambda s=s: GaussianMixture(2, covariance_type=s, max_iter=2, random_state=0) for s in COVARIANCES),
            lambda: KMeans(2, max_iter=2, random_state=0),
        ):
            plain, spread = build(), build()
            bounds = [info.objective for info in plain.fit_steps(X, chunk_map=map)]
            assert [info.objective for info in spread.fit_steps(X, chunk_map=mapped)] == bounds
            name = "means_" if isinstance(plain, GaussianMixture) else "cluster_centers_"
            np.testing.assert_array_equal(getattr(spread, name), getattr(plain, name))
