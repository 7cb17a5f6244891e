"""From the same start to convergence: as many iterations as scikit-learn, and the same final bound."""

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

import sklearn.cluster
import sklearn.mixture

from benchmarks.core.cases import Case, Disagreement, Figure, at_most
from benchmarks.core.data import blobs
from benchmarks.core.mixtures import start
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from core import GaussianMixture, KMeans

SHAPE = Shape(20_000, 4, 6)
STRUCTURES = ("full", "tied", "diag", "spherical")


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    shape = settings.shape(SHAPE)
    for structure in STRUCTURES:
        measure = partial(mixture, shape, structure)
        yield Case("iterations; difference of bounds", f"{structure}, {shape}", "scikit-learn", measure, at_most(1e-9))
    measure = partial(kmeans, shape)
    yield Case("iterations; difference of bounds", f"k-means, {shape}", "scikit-learn", measure, at_most(1e-9))


def mixture(shape: Shape, structure: str) -> Figure:
    """The bound is the mean log-likelihood, in nats."""
    begin = start(shape, structure, "float64")
    ours, theirs = (
        kind(**begin.arguments, tol=1e-5, max_iter=1000).fit(blobs(shape).X)
        for kind in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    return same(ours.n_iter_, theirs.n_iter_, abs(ours.lower_bound_ - theirs.lower_bound_))


def kmeans(shape: Shape) -> Figure:
    """The bound is the inertia, relative to itself."""
    data = blobs(shape)
    ours, theirs = (kind(shape.k, init=data.chosen, n_init=1).fit(data.X) for kind in (KMeans, sklearn.cluster.KMeans))
    return same(ours.n_iter_, theirs.n_iter_, abs(ours.inertia_ / theirs.inertia_ - 1))


def same(ours: int, theirs: int, difference: float) -> Figure:
    """Refuses different numbers of iterations."""
    if ours != theirs:
        raise Disagreement(f"{ours} iterations, theirs {theirs}")
    return Figure(difference, ours, theirs, "its.")
