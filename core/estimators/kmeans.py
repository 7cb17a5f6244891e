"""k-means with scikit-learn's face."""

__all__ = ["KMeans"]

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, ClassVar, Self, cast
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from core.checks import (
    check_array,
    check_boolean,
    check_choice,
    check_integer,
    check_random_state,
    check_real,
    check_sample_weight,
    check_verbose,
)
from core.errors import InvalidParameter
from core.estimators.base import Estimator, exhaust, feature_names
from core.fit import HISTORIES, History, Info, Outcome, State, fit_steps, generator_from
from core.kmeans import Centroids, Lloyd
from core.rows import one_blas_thread
from core.seeding import choose_far_apart, random_rows, start_on_subsample
from core.sparse_rows import Rows, check_any_rows, dense
from core.threads import thread_map
from core.types import Floats, Ints, MapLike

STARTS = ("k-means++", "random")


class KMeans(Estimator):
    """k-means by Lloyd's algorithm, with scikit-learn's parameters, defaults and fitted attributes.

    `init` is a name, an array (n_clusters, n_features), or a function of rows, `n_clusters` and `random_state` that
    returns one. `algorithm="elkan"` is accepted for its name: it gives the same result. Sparse rows of any scipy format
    are taken, and worked on a few at a time. Beyond scikit-learn: `init_size`, so many rows drawn uniformly, with their
    weights, on which a start by name is brought to convergence before all rows are looked at;
    `fit_steps`, the fit as a generator; `history`, "objectives", or "parameters" to keep the centres of the best run
    after each iteration, too; `converged_`; `inertias_`, the inertia an iteration; `history_`. `centroids_` holds the
    model itself, in float64; `cluster_centers_` has the dtype of the training rows.
    """

    kind = "clusterer"
    several: ClassVar[int] = 10
    cluster_centers_: Floats
    labels_: Ints
    inertia_: float
    inertias_: list[float]
    n_iter_: int
    centroids_: Centroids
    history_: History

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike | Callable[..., ArrayLike] = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        history: str = "objectives",
        init_size: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.history = history
        self.init_size = init_size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def check_parameters(self, n_samples: int, n_features: int) -> None:
        """Refuses, before a fit of rows of this shape, all that can be: `InvalidParameter` with the name."""
        k = check_integer("n_clusters", self.n_clusters, 1)
        check_real("tol", self.tol, 0.0)
        check_integer("max_iter", self.max_iter, 1)
        check_verbose(self.verbose)
        check_random_state(self.random_state)
        if isinstance(self.n_init, str) and self.n_init != "auto":
            raise InvalidParameter("n_init", self.n_init, "must be 'auto' or an integer, at least 1")
        if not isinstance(self.n_init, str):
            check_integer("n_init", self.n_init, 1)
        if k > n_samples:
            raise InvalidParameter("n_clusters", k, f"must be at most the number of rows, {n_samples}")
        if isinstance(self.init, str):
            if self.init not in STARTS:
                words = f"must be 'k-means++', 'random', a function, or an array of shape {(k, n_features)}"
                raise InvalidParameter("init", self.init, words)
        elif not callable(self.init):
            check_array("init", self.init, (k, n_features))
        self._check_own(k)

    def _check_own(self, n_clusters: int) -> None:
        """Refuses what is wrong of the parameters that not all kinds of k-means have."""
        check_choice("algorithm", self.algorithm, ("lloyd", "elkan"))
        check_boolean("copy_x", self.copy_x)
        check_choice("history", self.history, HISTORIES)
        if self.init_size is not None and check_integer("init_size", self.init_size, 1) < n_clusters:
            raise InvalidParameter(
                "init_size", self.init_size, f"must be at least the number of clusters, {n_clusters}"
            )

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the centres to rows X (n_samples, n_features), weighted by `sample_weight` (n_samples,).

        Raises `InvalidParameter` or `InvalidRows`; warns with `ConvergenceWarning` when the best run did not
        converge or a cluster is left without rows.
        """
        steps = self.fit_steps(X, sample_weight)
        self._warn_of_ignored()
        with one_blas_thread():
            exhaust(self._printed(steps))
        if not self.converged_:
            self._warn(f"the best run did not converge in {self.n_iter_} iterations: increase max_iter or tol")
        if words := self._of_empty_clusters():
            self._warn(words)
        return self

    def _of_empty_clusters(self) -> str:
        """That clusters are left without rows; nothing if none is."""
        distinct = np.unique(self.labels_).size
        if distinct == self.n_clusters:
            return ""
        return f"only {distinct} of {self.n_clusters} clusters have rows: are there as many distinct rows?"

    def fit_steps(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        labels: None = None,
        state: State | None = None,
        chunk_map: MapLike = thread_map,
    ) -> Generator[Info, None, Self]:
        """The fit as a generator: one `Info` an iteration; when it is exhausted the estimator is fitted.

        While it is suspended `state_` is the `State` from which another call, with the same rows and parameters,
        goes on to the same bits. `chunk_map` is that of the mixture; k-means takes no `labels`.
        """
        rows = check_any_rows(X)
        self.check_parameters(*rows.shape)
        if labels is not None:
            raise InvalidParameter("labels", labels, "are for mixtures: k-means has no supervised fit")
        if sample_weight is None:
            # The same for every row: one number is enough.
            return self._steps(rows, feature_names(X), np.broadcast_to(1.0, rows.shape[:1]), chunk_map, state)
        weight = check_sample_weight(sample_weight, rows.shape[0])
        # A row of weight 0 gets its label in the end, but it must not be able to move a centre, or the units.
        self.check_parameters(int(np.count_nonzero(weight)), rows.shape[1])
        return self._steps(rows, feature_names(X), weight, chunk_map, state)

    def _printed(self, steps: Generator[Info, None, Self]) -> Generator[Info, None, Self]:
        """The steps as they come, with lines in scikit-learn's words when `verbose` asks for them."""
        for info in steps:
            if self.verbose:
                if info.iteration == 1:
                    print("Initialization complete")
                print(f"Iteration {info.iteration - 1}, inertia {info.objective:.8g}.")
                if info.converged:
                    cause = "center shift is within tolerance" if self.tol > 0 else "strict convergence"
                    print(f"Converged at iteration {info.iteration - 1}: {cause}.")
            yield info
        return self

    def _warn_of_ignored(self) -> None:
        for words in self._ignored():
            warn(words, RuntimeWarning, stacklevel=3)

    def _ignored(self) -> list[str]:
        """Which arguments are, in the words of scikit-learn, whose users filter by them."""
        words = self._ignored_runs()
        if self.algorithm == "elkan" and self.n_clusters == 1:
            words.append("algorithm='elkan' doesn't make sense for a single cluster.")
        return words

    def _ignored_runs(self) -> list[str]:
        if isinstance(self.init, str) or callable(self.init) or self.n_init in ("auto", 1):
            return []
        return [
            "Explicit initial center position passed: performing only one init in "
            f"{type(self).__name__} instead of n_init={self.n_init}."
        ]

    def _algorithm(self, rows: Rows, weight: Floats, chunk_map: MapLike) -> Lloyd:
        k, init, shape = self.n_clusters, self.init, (self.n_clusters, rows.shape[1])
        if isinstance(init, str):

            def seed(rng: np.random.Generator) -> Floats:
                if self.init_size is not None and self.init_size < rows.shape[0]:
                    far_apart = init == "k-means++"
                    return start_on_subsample(rows, k, weight, rng, chunk_map, self.init_size, far_apart=far_apart)
                if init == "k-means++":
                    chosen = choose_far_apart(lloyd.rows, k, rng, chunk_map)
                else:
                    chosen = random_rows(rows, k, weight, rng)
                return dense(rows[chosen])

        elif callable(init):

            def seed(rng: np.random.Generator) -> Floats:
                return check_array("init", init(rows, k, random_state=rng), shape)

        else:
            given = check_array("init", init, shape)

            def seed(rng: np.random.Generator) -> Floats:
                return given

        lloyd = Lloyd(rows, weight, k, seed, float(self.tol), chunk_map)
        return lloyd

    def _runs(self) -> int:
        """Scikit-learn's "auto": `several` from random rows or a function, 1 from k-means++; an array has one only."""
        if not isinstance(self.init, str) and not callable(self.init):
            return 1
        if isinstance(self.n_init, str):
            return 1 if isinstance(self.init, str) and self.init == "k-means++" else self.several
        return self.n_init

    def _steps(
        self,
        rows: Rows,
        names: NDArray[np.object_] | None,
        weight: Floats,
        chunk_map: MapLike,
        state: State | None,
    ) -> Generator[Info, None, Self]:
        counted = None if weight.strides == (0,) or weight.all() else np.flatnonzero(weight)
        some = (rows, weight) if counted is None else (rows[counted], weight[counted])
        lloyd = self._algorithm(*some, chunk_map)
        return self._run(rows, counted, names, lloyd, state)

    def _run(
        self,
        rows: Rows,
        counted: Ints | None,
        names: NDArray[np.object_] | None,
        lloyd: Lloyd,
        state: State | None,
    ) -> Generator[Info, None, Self]:
        steps = fit_steps(
            lloyd,
            generator_from(self.random_state),
            n_init=self._runs(),
            max_iter=self.max_iter,
            state=state,
            record=self.history == "parameters",
        )

        def in_units_of_the_data(info: Info) -> Info:
            return replace(info, objective=lloyd.inertia(info.objective), change=lloyd.inertia(info.change))

        outcome = yield from self._watched(steps, in_units_of_the_data)
        self._learn_features(rows.shape[1], names)
        return self._fitted(rows, counted, lloyd, outcome)

    def _fitted(self, rows: Rows, counted: Ints | None, lloyd: Lloyd, outcome: Outcome[Floats]) -> Self:
        self.centroids_ = lloyd.centroids(outcome.parameters)
        self.cluster_centers_ = self.centroids_.cluster_centers.astype(rows.dtype, copy=False)
        labels = lloyd.labels(outcome.parameters, self.centroids_)
        if counted is not None:
            everyone = np.empty(rows.shape[0], dtype=np.int64)
            left_out = np.setdiff1d(np.arange(rows.shape[0]), counted)
            everyone[counted], everyone[left_out] = labels, self.centroids_.predict(rows[left_out])
            labels = everyone
        self.labels_ = labels
        self.inertia_ = lloyd.inertia(outcome.objective)
        past = outcome.history
        inertias = [[lloyd.inertia(objective) for objective in run.tolist()] for run in past.objectives]
        self.inertias_ = inertias[past.best]
        passed = [lloyd.centroids(centers).cluster_centers for centers in past.parameters.get("centers", ())]
        parameters = {"cluster_centers": np.stack(passed)} if passed else {}
        self.history_ = History(tuple(np.array(run) for run in inertias), past.best, parameters)
        self.converged_, self.n_iter_ = outcome.converged, outcome.n_iter
        return self

    def _rows(self, X: Any) -> Any:
        if not issparse(X):
            return super()._rows(X)
        self._check_fitted()
        rows: Any = check_any_rows(cast(Rows, X), self.n_features_in_, owner=type(self).__name__)
        return rows

    def predict(self, X: ArrayLike) -> Ints:
        """Each row's nearest centre, shape (n,)."""
        rows = self._rows(X)
        return self.centroids_.labels(rows, thread_map)

    @property
    def _n_features_out(self) -> int:
        return self.centroids_.n_clusters

    def _distances(self, rows: Floats) -> Floats:
        """Euclidean distances to the centres."""
        return self.centroids_.distances(rows)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the inertia of rows X."""
        rows = self._rows(X)
        return -self.centroids_.inertia(rows, sample_weight)
