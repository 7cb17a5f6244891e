"""Lloyd's algorithm: time an iteration, against scikit-learn in float64 and faiss in float32.

A round is a fit from given rows as centres, of which all iterations but the first are timed, until it converges. What
moves only rows whose label changed, or looks only at those whose label may, is the faster the longer it runs: so all
sides make the same iterations, and the first of them, 2 to 6, are lines of their own.
"""

__all__ = ["GOALS", "cases", "lloyd_ours", "lloyd_scikit_learn"]

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import sklearn.cluster
from sklearn.cluster._k_means_lloyd import lloyd_iter_chunked_dense
from threadpoolctl import ThreadpoolController

from benchmarks.core.cases import Case, Disagreement, Figure, agree, at_least, ratio
from benchmarks.core.data import Array, Blobs, blobs
from benchmarks.core.settings import THREADS, Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace, Side, race
from core import KMeans

GOALS = [
    (Shape(1_000, 4, 3), 1.0),
    (Shape(20_000, 64, 32), 1.0),
    (Shape(100_000, 16, 16), 1.0),
    (Shape(1_000_000, 8, 8), 0.9),
    (Shape(50_000, 2, 5), 0.8),
    (Shape(100_000, 50, 100), 1.0),
]
TIMED = 5


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    for dtype, peer, against in (
        ("float64", "scikit-learn", against_scikit_learn),
        ("float32", "faiss-cpu", against_faiss),
    ):
        for goal_shape, goal in GOALS:
            shape = settings.shape(goal_shape)
            whole, first = partial(against, shape, settings.pace, None), partial(against, shape, settings.pace, TIMED)
            yield Case(f"Lloyd, an iteration, {dtype}", str(shape), peer, whole, at_least(goal))
            yield Case(f"Lloyd, an iteration, {dtype}", f"{shape}, 2 to {1 + TIMED}", peer, first)


def against_scikit_learn(shape: Shape, pace: Pace, timed: int | None) -> Figure:
    """In float64; centres and inertia after the same iterations are compared."""
    data = blobs(shape)
    timed = until_convergence(data) if timed is None else timed
    arguments = {"n_clusters": shape.k, "init": data.chosen, "n_init": 1, "tol": 0.0, "max_iter": timed + 1}
    ours, theirs = (kind(**arguments).fit(data.X) for kind in (KMeans, sklearn.cluster.KMeans))
    agree("centres", ours.cluster_centers_, theirs.cluster_centers_, 1e-9)
    note = f"{timed} iterations, " + agree("inertia", [ours.inertia_], [theirs.inertia_], 1e-9)
    sides = lloyd_ours(data.X, data.chosen, timed), lloyd_scikit_learn(data.X, data.chosen, timed)
    return ratio(race(*sides, pace), note=note)


def against_faiss(shape: Shape, pace: Pace, timed: int | None) -> Figure:
    """In float32, the only one that faiss has; inertias before each iteration are compared."""
    from benchmarks.core.faiss import lloyd_faiss, objectives  # it may be absent

    data = blobs(shape, "float32")
    timed = until_convergence(data) if timed is None else timed
    steps = KMeans(shape.k, init=data.chosen, n_init=1, tol=0.0, max_iter=timed + 1).fit_steps(data.X)
    theirs = objectives(data.X, data.chosen, timed + 1)
    note = f"{timed} iterations, " + agree("inertias", [info.objective for info in steps], theirs, 1e-3)
    sides = lloyd_ours(data.X, data.chosen, timed), lloyd_faiss(data.X, data.chosen, timed)
    return ratio(race(*sides, pace), note=note)


def until_convergence(data: Blobs) -> int:
    """Iterations after the first, by the tolerance that both have by default."""
    return KMeans(len(data.chosen), init=data.chosen, n_init=1).fit(data.X).n_iter_ - 1


def lloyd_ours(X: Array, init: Array, timed: int = TIMED) -> Side:
    """Ours, through the estimator."""

    def side() -> float:
        steps = KMeans(len(init), init=init, n_init=1, tol=0.0, max_iter=timed + 1).fit_steps(X)
        next(steps)
        began = time.perf_counter()
        made = sum(1 for _, _ in zip(range(timed), steps, strict=False))
        passed = time.perf_counter() - began
        if made < timed:
            raise Disagreement(f"ours converged after {1 + made} iterations")
        return passed / timed

    return side


def lloyd_scikit_learn(X: Array, init: Array, timed: int = TIMED) -> Side:
    """Scikit-learn's compiled iteration alone; as in its fits, BLAS has one thread within each of its own two."""
    n, k = len(X), len(init)
    weight, controller = np.ones(n), ThreadpoolController()

    def side() -> float:
        centers, moved = init.copy(), np.zeros_like(init)
        labels, counts, shift = np.full(n, -1, dtype=np.int32), np.zeros(k), np.zeros(k)
        with controller.limit(limits=1, user_api="blas"):
            for iteration in range(1 + timed):
                if iteration == 1:
                    began = time.perf_counter()
                lloyd_iter_chunked_dense(X, weight, centers, moved, counts, labels, shift, THREADS)
                centers, moved = moved, centers
            return (time.perf_counter() - began) / timed

    return side
