"""EM and Lloyd against scikit-learn: time an iteration, and whole fits with their start.

Run by `make bench-core`; `--quick` takes small sizes. One process, both sides with two threads, their iterations in
turn. Both start from the same parameters, and their bounds must agree to 1e-9 before anything is timed. A side's time
is the least of its repeats, a ratio is scikit-learn's time over ours.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from sys import path

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)
path.insert(0, str(Path(__file__).parent.parent))

import numpy as np  # noqa: E402
import sklearn.cluster  # noqa: E402
import sklearn.mixture  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sklearn.cluster._k_means_lloyd import lloyd_iter_chunked_dense  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from core import GaussianMixture, KMeans  # noqa: E402

Array = NDArray[np.float64]
ITERATIONS = 5
SECONDS = 1.5  # for one line of the table; at least two rounds are made

MIXTURES = [
    (100_000, 16, 16, "full"),
    (100_000, 16, 16, "diag"),
    (100_000, 16, 16, "tied"),
    (100_000, 16, 16, "spherical"),
    (1_000_000, 8, 8, "full"),
    (1_000_000, 8, 8, "diag"),
    (20_000, 64, 32, "full"),
    (50_000, 2, 5, "full"),
    (1_000, 4, 3, "full"),
]
LLOYD = [(1_000, 4, 3), (20_000, 64, 32), (100_000, 16, 16), (1_000_000, 8, 8), (50_000, 2, 5), (100_000, 50, 100)]


def blobs(n: int, d: int, k: int) -> Array:
    """Correlated groups that overlap."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=2.5, size=(k, d))
    mixing = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    labels = rng.integers(0, k, n)
    X = rng.normal(size=(n, d))
    for component in range(k):
        X[labels == component] = X[labels == component] @ mixing[component] + centers[component]
    return X


def interleaved(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """The least seconds of each side over rounds in turn."""
    times: list[tuple[float, float]] = []
    ends = time.perf_counter() + SECONDS
    while len(times) < 2 or time.perf_counter() < ends:
        times.append((ours(), theirs()))
    ours_least, theirs_least = (min(side) for side in zip(*times, strict=True))
    return ours_least, theirs_least


def timed(steps: Iterator[float]) -> tuple[float, list[float]]:
    """The least seconds of a step, and what the steps yielded."""
    seconds, values = [], []
    while True:
        began = time.perf_counter()
        try:
            values.append(next(steps))
        except StopIteration:
            return min(seconds), values
        seconds.append(time.perf_counter() - began)


def same(ours: list[float], theirs: list[float]) -> None:
    """Refuses to compare the times of different answers."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def em(n: int, d: int, k: int, structure: str) -> tuple[float, float]:
    """Seconds an EM iteration."""
    X = blobs(n, d, k)
    means = X[:: n // k][:k].copy()
    covariance = np.cov(X.T)
    precision = np.linalg.inv(covariance)
    variances = 1 / np.diagonal(covariance)
    precisions = {
        "full": np.stack([precision] * k),
        "tied": precision,
        "diag": np.stack([variances] * k),
        "spherical": np.full(k, variances.mean()),
    }[structure]
    start = {"weights_init": np.full(k, 1 / k), "means_init": means, "precisions_init": precisions}
    start |= {"covariance_type": structure, "tol": 0.0, "max_iter": ITERATIONS}

    def ours() -> Iterator[float]:
        yield from (info.objective for info in GaussianMixture(k, **start).fit_steps(X))

    def theirs() -> Iterator[float]:
        mixture = sklearn.mixture.GaussianMixture(k, **start)
        mixture._initialize(X, None)
        for _ in range(ITERATIONS):
            bound, log_resp = mixture._e_step(X)
            mixture._m_step(X, log_resp)
            yield float(bound)

    same(timed(ours())[1], timed(theirs())[1])
    return interleaved(lambda: timed(ours())[0], lambda: timed(theirs())[0])


def lloyd(n: int, d: int, k: int) -> tuple[float, float]:
    """Seconds an iteration of Lloyd's."""
    X = blobs(n, d, k)
    X -= X.mean(axis=0)  # theirs does so before its iterations
    init = X[:: n // k][:k].copy()
    weight = np.ones(n)

    def ours() -> Iterator[float]:
        steps = KMeans(k, init=init, n_init=1, tol=0.0, max_iter=ITERATIONS).fit_steps(X)
        yield from (info.objective for info in steps)

    def theirs() -> Iterator[float]:
        centers, moved = init.copy(), np.zeros_like(init)
        labels, counts, shift = np.full(n, -1, dtype=np.int32), np.zeros(k), np.zeros(k)
        for _ in range(ITERATIONS):
            lloyd_iter_chunked_dense(X, weight, centers, moved, counts, labels, shift, THREADS)
            centers, moved = moved, centers
            yield 0.0

    fits = [kind(k, init=init, n_init=1, tol=0.0, max_iter=2) for kind in (KMeans, sklearn.cluster.KMeans)]
    same(*[[float(fit.fit(X).inertia_)] for fit in fits])
    return interleaved(lambda: timed(ours())[0], lambda: timed(theirs())[0])


def whole(n: int, d: int, k: int, kinds: tuple[type, type]) -> tuple[float, float]:
    """Seconds of a fit with its own start."""
    X = blobs(n, d, k)

    def seconds(kind: type) -> float:
        began = time.perf_counter()
        kind(k, random_state=0).fit(X)
        return time.perf_counter() - began

    return interleaved(lambda: seconds(kinds[0]), lambda: seconds(kinds[1]))


def line(name: str, times: tuple[float, float]) -> None:
    ours, theirs = times
    print(f"{name:<44} {theirs * 1e3:>10.2f} ms {ours * 1e3:>10.2f} ms {theirs / ours:>7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--only", default="", help="lines whose name holds this")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

    def rows(n: int, k: int) -> int:
        return max(n // 100, 20 * k) if arguments.quick else n

    jobs = [(f"EM {s}, {rows(n, k)} × {d}, k = {k}", em, (rows(n, k), d, k, s)) for n, d, k, s in MIXTURES]
    jobs += [(f"Lloyd, {rows(n, k)} × {d}, k = {k}", lloyd, (rows(n, k), d, k)) for n, d, k in LLOYD]
    both = {
        "GaussianMixture": (GaussianMixture, sklearn.mixture.GaussianMixture),
        "KMeans": (KMeans, sklearn.cluster.KMeans),
    }
    shape = (rows(100_000, 16), 16, 16)
    jobs += [(f"whole fit, {name}, {shape[0]} × 16, k = 16", whole, (*shape, pair)) for name, pair in both.items()]
    warnings.simplefilter("ignore")  # fits of a few iterations do not converge
    print(f"{'':<44} {'scikit-learn':>13} {'ours':>13} {'ratio':>7}")
    with threadpool_limits(THREADS):
        for name, measure, shape in jobs:
            if arguments.only in name:
                line(name, measure(*shape))


if __name__ == "__main__":
    main()
