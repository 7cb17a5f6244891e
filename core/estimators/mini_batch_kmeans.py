"""Mini-batch k-means with scikit-learn's face."""

__all__ = ["MiniBatchKMeans"]

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.checks import (
    check_array,
    check_boolean,
    check_integer,
    check_real,
    check_sample_weight,
)
from core.errors import InvalidParameter
from core.estimators.base import exhaust, feature_names
from core.estimators.kmeans import KMeans
from core.fit import Info, Outcome, State, fit_steps, generator_from
from core.kmeans import Centroids, Start, assign
from core.minibatch import Frame, Learned, MiniBatch, Progress, batch_frame, learn
from core.rows import one_blas_thread
from core.seeding import kmeans_plus_plus, random_rows, subsample
from core.sparse_rows import Rows, check_any_rows, dense
from core.threads import thread_map
from core.types import Floats, Ints, MapLike


class MiniBatchKMeans(KMeans):
    """k-means by mini-batches (Sculley 2010), with scikit-learn's parameters, defaults and fitted attributes.

    `partial_fit` learns from one batch that the caller brings; `fit` draws its batches from the rows, with
    replacement and by weight. Of sparse rows, those of a batch become an array, and those that a start sees. Beyond
    scikit-learn: `fit_steps`, the fit as a generator, an iteration a batch, whose objective is the smoothed inertia of
    all rows; `converged_`; `inertias_`, the smoothed inertia a batch; `counts_`, the weight of the rows behind each
    centre.
    """

    init: Any
    several = 3
    n_steps_: int
    counts_: Floats
    _frame: Frame
    _learned: Learned
    _rng: np.random.Generator
    _still: bool
    _batch: tuple[Floats, Floats | None]

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike | Callable[..., ArrayLike] = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio

    def _check_own(self, n_clusters: int) -> None:
        check_integer("batch_size", self.batch_size, 1)
        self._check_rates()
        for name in ("max_no_improvement", "init_size"):
            value = getattr(self, name)
            if value is not None:
                check_integer(name, value, 1 if name == "init_size" else 0)

    def _check_rates(self) -> None:
        """Refuses what even a later batch must not meet."""
        if check_real("reassignment_ratio", self.reassignment_ratio, 0.0) > 1:
            raise InvalidParameter("reassignment_ratio", self.reassignment_ratio, "must be at most 1")
        check_boolean("compute_labels", self.compute_labels)

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the centres to rows X (n_samples, n_features), drawn in proportion to `sample_weight` (n_samples,).

        Raises `InvalidParameter` or `InvalidRows`; warns with `ConvergenceWarning` when convergence was asked for and
        not reached, or a cluster is left without rows.
        """
        steps = self.fit_steps(X, sample_weight)
        self._warn_of_ignored()
        exhaust(self._printed(steps))
        if not self.converged_ and (self.tol > 0 or self.max_no_improvement is not None):
            self._warn(f"no convergence in {self.n_steps_} batches: increase max_iter or tol, or batch_size")
        if self.compute_labels and (words := self._of_empty_clusters()):
            self._warn(words)
        return self

    def _steps(
        self,
        rows: Rows,
        names: NDArray[np.object_] | None,
        weight: Floats,
        chunk_map: MapLike,
        state: State | None,
    ) -> Generator[Info, None, Self]:
        positive = weight > 0
        counted = rows if positive.all() else rows[positive]
        minibatch = self._minibatch(counted, weight[positive], chunk_map)
        return self._batches(rows, names, weight, minibatch, state)

    def _printed(self, steps: Generator[Info, None, Self]) -> Generator[Info, None, Self]:
        """The steps as they come, each with a line when `verbose` asks for them."""
        for info in steps:
            if self.verbose:
                print(f"Minibatch step {info.iteration}/{info.max_iter}: smoothed inertia: {info.objective:.8g}")
            yield info
        if self.verbose and self.converged_:
            cause = "small centers change" if self._still else "lack of improvement in inertia"
            print(f"Converged ({cause}) at step {self.n_steps_}")
        return self

    def _minibatch(self, rows: Rows, weight: Floats, chunk_map: MapLike) -> MiniBatch:
        n_samples = rows.shape[0]
        return MiniBatch(
            rows,
            weight,
            self.n_clusters,
            self._start(rows, weight),
            min(self.batch_size, n_samples),
            self.max_no_improvement,
            float(self.tol),
            float(self.reassignment_ratio),
            self._runs(),
            self._init_rows(n_samples),
            chunk_map,
        )

    def _start(self, rows: Rows, weight: Floats) -> Start:
        """Centres by `init`, in the units of the data; all but an array see a subsample of the rows."""
        k, n_features, init, size = self.n_clusters, rows.shape[1], self.init, self._init_rows(rows.shape[0])

        def seed(rng: np.random.Generator) -> Floats:
            if not isinstance(init, str) and not callable(init):
                return check_array("init", init, (k, n_features))
            chosen = subsample(rows.shape[0], k, size, rng)
            sample = rows[chosen]
            if callable(init):
                return check_array("init", init(sample, k, random_state=rng), (k, n_features))
            choose = kmeans_plus_plus if init == "k-means++" else random_rows
            # As an array the rows have the same start whether they came sparse or not.
            sample = dense(sample)
            centers: Floats = sample[choose(sample, k, weight[chosen], rng)]
            return centers

        return seed

    def _init_rows(self, n_samples: int) -> int:
        """How many rows a start sees: 3 batches by default, and always enough for the clusters."""
        size = 3 * min(self.batch_size, n_samples) if self.init_size is None else self.init_size
        return min(size if size >= self.n_clusters else 3 * self.n_clusters, n_samples)

    def _ignored(self) -> list[str]:
        words = self._ignored_runs()
        if self.init_size is not None and self.init_size < self.n_clusters:
            words.append(
                f"init_size={self.init_size} should be larger than n_clusters={self.n_clusters}. "
                "Setting it to min(3*n_clusters, n_samples)"
            )
        return words

    def _batches(
        self,
        rows: Rows,
        names: NDArray[np.object_] | None,
        weight: Floats,
        minibatch: MiniBatch,
        state: State | None,
    ) -> Generator[Info, None, Self]:
        steps = fit_steps(
            minibatch,
            generator_from(self.random_state),
            n_init=1,
            max_iter=self.max_iter * minibatch.X.shape[0] // minibatch.batch_size,
            state=state,
        )

        def in_units_of_the_data(info: Info) -> Info:
            return replace(info, objective=minibatch.inertia(info.objective), change=minibatch.inertia(info.change))

        outcome = yield from self._watched(steps, in_units_of_the_data)
        self._learn_features(rows.shape[1], names)
        return self._finished(rows, weight, minibatch, outcome)

    def _finished(self, rows: Rows, weight: Floats, minibatch: MiniBatch, outcome: Outcome[Progress]) -> Self:
        self._forget()
        self._keep(minibatch.frame, outcome.parameters.learned, rows.dtype)
        self.inertias_ = [minibatch.inertia(float(objective)) for objective in outcome.trajectory]
        self.converged_, self.n_steps_ = outcome.converged, outcome.n_iter
        limit = self.max_no_improvement
        self._still = limit is None or outcome.parameters.stale < limit
        self.n_iter_ = ceil(outcome.n_iter * minibatch.batch_size / minibatch.X.shape[0])
        if self.compute_labels:
            self.labels_, distances = self.centroids_.nearest(rows)
            counted = weight > 0
            with np.errstate(over="ignore"):
                self.inertia_ = float(weight[counted] @ distances[counted] ** 2)
        else:
            self.inertia_ = minibatch.inertia(outcome.objective)
        return self

    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learns from one batch X (n_samples, n_features), weighted by `sample_weight` (n_samples,).

        The first batch ever also gives the start, by one run of `init`, and the frame of the computation.
        `labels_` and `inertia_` are those of this batch under the centres after it; they are computed when they are
        first asked for. Raises `InvalidParameter` or `InvalidRows`, and then has learned nothing.
        """
        begun = hasattr(self, "_learned")
        rows = dense(self._rows(X) if begun else check_any_rows(X))
        weight = None if sample_weight is None else check_sample_weight(sample_weight, rows.shape[0])
        counted, mass = rows, weight
        if weight is not None and not weight.all():
            counted, mass = rows[weight > 0], weight[weight > 0]
        if begun:
            self._check_rates()
        else:
            self.check_parameters(*counted.shape)
            self._warn_of_ignored()
        rng = self._rng if hasattr(self, "_rng") else generator_from(self.random_state)
        frame, learned = (self._frame, self._learned) if begun else self._begin(counted, mass, rng)
        learned, _ = learn(
            learned,
            frame.enter(counted),
            mass,
            rng,
            reassignment_ratio=self.reassignment_ratio,
            chunk_map=thread_map,
        )
        self._forget()
        self._rng = rng
        self._keep(frame, learned, self.cluster_centers_.dtype if begun else rows.dtype)
        if not begun:
            self._learn_features(rows.shape[1], feature_names(X))
        self.n_steps_ = getattr(self, "n_steps_", 0) + 1
        if self.compute_labels:
            # A copy, because callers fill the same array with one batch after another.
            self._batch = rows.copy(), weight
        return self

    def _begin(self, rows: Floats, weight: Floats | None, rng: np.random.Generator) -> tuple[Frame, Learned]:
        frame = batch_frame(rows)
        with one_blas_thread():
            centers = self._start(rows, np.ones(rows.shape[0]) if weight is None else weight)(rng)
        return frame, Learned(frame.enter(centers.astype(np.float64)), np.zeros(self.n_clusters))

    def _keep(self, frame: Frame, learned: Learned, dtype: np.dtype[Any]) -> None:
        self._frame, self._learned = frame, learned
        self.centroids_ = Centroids(frame.leave(learned.centers))
        self.cluster_centers_ = self.centroids_.cluster_centers.astype(dtype, copy=False)
        self.counts_ = learned.counts

    def _forget(self) -> None:
        """What was known of other rows, and what a whole fit tells and a batch does not."""
        for name in ("_batch", "_rng", "labels_", "inertia_", "inertias_", "converged_", "n_iter_"):
            self.__dict__.pop(name, None)

    @cached_property
    def labels_(self) -> Ints:  # type: ignore[override]
        """Each row's nearest centre, shape (n,): of the rows fitted to, or the last batch learned from."""
        return self._of_the_batch()[0]

    @cached_property
    def inertia_(self) -> float:  # type: ignore[override]
        """Σ w ‖x − nearest centre‖² of the same rows; after a fit without labels, an estimate from the batches."""
        return self._of_the_batch()[1]

    def _of_the_batch(self) -> tuple[Ints, float]:
        self._check_fitted()
        if not hasattr(self, "_batch"):
            raise AttributeError(f"this {type(self).__name__} has no labels: it was told not to by compute_labels")
        rows, weight = self._batch
        with one_blas_thread(), np.errstate(over="ignore"):
            labels, squares = assign(self._frame.enter(rows), self._learned.centers)
            inertia = float(squares.sum() if weight is None else weight[weight > 0] @ squares[weight > 0])
        self.labels_, self.inertia_ = labels, inertia * self._frame.scale * self._frame.scale
        del self._batch
        return self.labels_, self.inertia_

    def __getstate__(self) -> dict[str, object]:
        """What is pickled: the labels of the last batch in place of the batch."""
        if hasattr(self, "_batch"):
            self._of_the_batch()
        return self.__dict__

    @property
    def _counts(self) -> Floats:
        """`counts_` by scikit-learn's name."""
        return self.counts_
