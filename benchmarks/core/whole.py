"""Whole fits with their own starts: another seed each round, the same for both sides.

Their figure is the ratio of median times: a start that happens to lead a long way says little of either side.
"""

__all__ = ["cases"]

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import sklearn.cluster
import sklearn.mixture
from sklearn.datasets import make_blobs

from benchmarks.core.cases import Case, Disagreement, Figure, at_least
from benchmarks.core.data import Array
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace, race
from core import GaussianMixture, KMeans

MIXTURE = Shape(100_000, 16, 16)
KMEANS = [
    (Shape(1_000, 4, 3), 1.5),
    (Shape(20_000, 64, 32), 1.1),
    (Shape(100_000, 16, 16), 1.2),
    (Shape(1_000_000, 8, 8), 1.8),
    (Shape(50_000, 2, 5), 1.5),
    (Shape(100_000, 50, 100), 1.4),
]
SUBSAMPLED, INIT_SIZE = Shape(100_000, 50, 100), 10_000

# Different random numbers lead to different local optima. The best of all seeds must not be worse than theirs by more
# than this: nats a row for mixtures, a share of the inertia for k-means.
NATS, SHARE = 0.1, 0.1


class Reached(NamedTuple):
    """Where a fit ended: an objective that is better when larger, and the iterations that it took."""

    objective: float
    n_iter: int


class Whole:
    """A side that makes a whole fit with the next seed, and keeps where each of them ended."""

    def __init__(self, fit: Callable[[int], Reached]) -> None:
        self.fit = fit
        self.ends: list[Reached] = []

    def __call__(self) -> float:
        # Once untimed: rested threads take milliseconds to come back.
        self.fit(len(self.ends))
        began = time.perf_counter()
        self.ends.append(self.fit(len(self.ends)))
        return time.perf_counter() - began

    @property
    def best(self) -> float:
        """The objective of the best seed."""
        return max(end.objective for end in self.ends)

    @property
    def iterations(self) -> float:
        """Iterations of the median seed."""
        return float(np.median([end.n_iter for end in self.ends]))


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    shape = settings.shape(MIXTURE)
    measure = partial(mixture, shape, settings.pace, {})
    yield Case("whole fit", f"mixture, full, {shape}", "scikit-learn", measure, at_least(8))
    measure = partial(mixture, shape, settings.pace, {"init_size": None})
    yield Case("whole fit", f"mixture, {shape}, all rows", "scikit-learn", measure)
    for goal_shape, goal in KMEANS:
        shape = settings.shape(goal_shape)
        measure = partial(kmeans, shape, settings.pace, {})
        yield Case("whole fit", f"k-means, {shape}", "scikit-learn", measure, at_least(goal))
    shape = settings.shape(SUBSAMPLED)
    measure = partial(kmeans, shape, settings.pace, {"init_size": min(INIT_SIZE, shape.n // 2)})
    yield Case("whole fit", f"k-means, {shape}, init_size", "scikit-learn", measure, at_least(3))
    for goal_shape, goal in KMEANS:
        shape = settings.shape(goal_shape)
        measure = partial(against_faiss, shape, settings.pace)
        yield Case("whole fit", f"k-means, {shape}, float32", "faiss-cpu", measure, at_least(goal))


def mixture(shape: Shape, pace: Pace, extra: dict[str, object]) -> Figure:
    """Both sides' defaults: a start by k-means, which ours makes on some of the rows; `extra` is for ours alone."""
    X = round_blobs(shape)

    def fit(kind: type, extra: dict[str, object], seed: int) -> Reached:
        fitted = kind(shape.k, random_state=seed, **extra).fit(X)
        return Reached(fitted.lower_bound_, fitted.n_iter_)

    ours = Whole(partial(fit, GaussianMixture, extra))
    return compared(ours, Whole(partial(fit, sklearn.mixture.GaussianMixture, {})), pace, bounds)


def kmeans(shape: Shape, pace: Pace, extra: dict[str, object]) -> Figure:
    """One run from a k-means++ start, all else by default; `extra` is for ours alone."""
    X = round_blobs(shape)
    ours = Whole(partial(fit_kmeans, X, KMeans, shape.k, extra))
    return compared(ours, Whole(partial(fit_kmeans, X, sklearn.cluster.KMeans, shape.k, {})), pace, inertias)


def against_faiss(shape: Shape, pace: Pace) -> Figure:
    """float32, from a k-means++ start, with as many iterations as our first fit made: it has no other end."""
    from benchmarks.core import faiss  # it may be absent

    X = round_blobs(shape).astype(np.float32)
    iterations = fit_kmeans(X, KMeans, shape.k, {}, 0).n_iter

    def theirs(seed: int) -> Reached:
        return Reached(-faiss.fit(X, shape.k, iterations, seed), iterations)

    return compared(Whole(partial(fit_kmeans, X, KMeans, shape.k, {})), Whole(theirs), pace, inertias)


@cache
def round_blobs(shape: Shape) -> Array:
    """Round groups of unit variance about centres drawn from [−10, 10]ᵈ: most starts lead to the same optimum."""
    X, _ = make_blobs(shape.n, shape.d, centers=shape.k, random_state=0)
    return X


def fit_kmeans(X: Array, kind: type, k: int, extra: dict[str, object], seed: int) -> Reached:
    """A fit of either library."""
    fitted = kind(k, n_init=1, random_state=seed, **extra).fit(X)
    return Reached(-fitted.inertia_, fitted.n_iter_)


def bounds(ours: float, theirs: float) -> str:
    """By how much our bound is better."""
    note = f"bound {ours - theirs:+.3f} nats"
    if ours < theirs - NATS:
        raise Disagreement(note)
    return note


def inertias(ours: float, theirs: float) -> str:
    """By which share our inertia, minus the objective, is less or more."""
    note = f"inertia {ours / theirs - 1:+.1%}"
    if -ours > -theirs * (1 + SHARE):
        raise Disagreement(note)
    return note


def compared(ours: Whole, theirs: Whole, pace: Pace, words: Callable[[float, float], str]) -> Figure:
    """The ratio of median times, unless the best of ours is worse than the best of theirs."""
    ours.fit(0), theirs.fit(0)  # what is loaded and allocated once
    times = race(ours, theirs, pace._replace(rounds=pace.seeds))
    note = f"{words(ours.best, theirs.best)}, {ours.iterations:g} iterations, theirs {theirs.iterations:g}"
    medians = float(np.median(times.ours)), float(np.median(times.theirs))
    return Figure(medians[1] / medians[0], medians[0] * 1e3, medians[1] * 1e3, "ms", times.spread, note)
