"""Calls of a fitted model, a mini-batch, the silhouette: validation on, answers compared."""

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

import numpy as np
import sklearn.cluster
import sklearn.metrics
import sklearn.mixture

from benchmarks.core.cases import Case, Figure, agree, at_least, ratio
from benchmarks.core.data import blobs
from benchmarks.core.settings import Settings
from benchmarks.core.shapes import Shape
from benchmarks.core.timing import Pace, clocked, race
from core import GaussianMixture, KMeans, MiniBatchKMeans
from core.metrics import silhouette_score

SHAPE = Shape(10_000, 8, 8)
BATCH = Shape(100_000, 16, 16)
BATCH_ROWS = 1024


def cases(settings: Settings) -> Iterator[Case]:
    """The lines of this group."""
    for rows, goal in ((1, 10), (100, 10), (10_000, 1)):
        measure = partial(predict, rows, settings.pace)
        yield Case("calls", f"KMeans.predict, {rows} × 8, k = 8", "scikit-learn", measure, at_least(goal))
    for rows, goal in ((1, 5), (100, 3), (10_000, 3)):
        measure = partial(predict_proba, rows, settings.pace)
        yield Case("calls", f"mixture.predict_proba, {rows} × 8, k = 8", "scikit-learn", measure, at_least(goal))
    measure = partial(partial_fit, settings.pace)
    name = f"mini-batch partial_fit, {BATCH_ROWS} × 16, k = 16"
    yield Case("calls", name, "scikit-learn", measure, at_least(5))
    shape = settings.shape(SHAPE)
    yield Case("calls", f"silhouette, {shape}", "scikit-learn", partial(silhouette, shape, settings.pace), at_least(3))


def predict(rows: int, pace: Pace) -> Figure:
    """The nearest centre of so many rows."""
    data = blobs(SHAPE)
    arguments = {"n_clusters": SHAPE.k, "init": data.centers, "n_init": 1, "max_iter": 5}
    ours, theirs = (kind(**arguments).fit(data.X) for kind in (KMeans, sklearn.cluster.KMeans))
    X = data.X[:rows]
    note = agree("labels", ours.predict(X), theirs.predict(X), 0)
    return ratio(race(clocked(lambda: ours.predict(X)), clocked(lambda: theirs.predict(X)), pace), "µs", note)


def predict_proba(rows: int, pace: Pace) -> Figure:
    """Responsibilities of so many rows, full covariances."""
    data = blobs(SHAPE)
    arguments = {"n_components": SHAPE.k, "means_init": data.centers, "init_params": "random_from_data", "max_iter": 5}
    theirs = sklearn.mixture.GaussianMixture(**arguments, random_state=0).fit(data.X)
    begin = {"weights_init": theirs.weights_, "means_init": theirs.means_, "precisions_init": theirs.precisions_}
    ours, theirs = (
        kind(SHAPE.k, max_iter=1, **begin).fit(data.X) for kind in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    X = data.X[:rows]
    note = agree("shares", ours.predict_proba(X), theirs.predict_proba(X), 1e-9)
    sides = clocked(lambda: ours.predict_proba(X)), clocked(lambda: theirs.predict_proba(X))
    return ratio(race(*sides, pace), "µs", note)


def partial_fit(pace: Pace) -> Figure:
    """A batch, from centres that have seen ten others."""
    data = blobs(BATCH)
    batches = np.split(data.X[: 10 * BATCH_ROWS], 10)
    # Centres of small weight are drawn anew at random when the ratio is above 0: there would be nothing to compare.
    arguments = {"n_clusters": BATCH.k, "init": data.centers, "n_init": 1, "reassignment_ratio": 0.0, "random_state": 0}
    ours, theirs = (kind(**arguments) for kind in (MiniBatchKMeans, sklearn.cluster.MiniBatchKMeans))
    for batch in batches:
        ours.partial_fit(batch)
        theirs.partial_fit(batch)
    note = agree("centres", ours.cluster_centers_, theirs.cluster_centers_, 1e-9)
    sides = clocked(lambda: ours.partial_fit(batches[0])), clocked(lambda: theirs.partial_fit(batches[0]))
    return ratio(race(*sides, pace), "µs", note)


def silhouette(shape: Shape, pace: Pace) -> Figure:
    """The mean silhouette of all rows."""
    data = blobs(shape)
    labels = KMeans(shape.k, init=data.centers, n_init=1, max_iter=5).fit(data.X).labels_
    ours = partial(silhouette_score, data.X, labels)
    theirs = partial(sklearn.metrics.silhouette_score, data.X, labels)
    note = agree("scores", [ours()], [theirs()], 1e-9)
    return ratio(race(clocked(ours), clocked(theirs), pace), note=note)
