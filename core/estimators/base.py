"""What scikit-learn expects of any estimator: parameters by name, tags, and a word when it is not fitted."""

__all__ = ["Estimator", "Transformer", "also_theirs", "exhaust", "feature_names"]

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import cache
from inspect import signature
from typing import Any, ClassVar, Self, TypeVar, cast
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import errors
from core.checks import check_choice, check_rows
from core.errors import ConvergenceWarning, InvalidParameter, InvalidRows, NotFittedError
from core.estimators.containers import CONTAINERS, contained, wanted_globally
from core.fit import Info, State
from core.types import Floats, Ints

Raised = TypeVar("Raised", bound=Exception)
Returned = TypeVar("Returned")


class Transformer(ABC):
    """Parameters are the constructor's arguments, kept as they came; `fit` leaves attributes ending in `_`."""

    kind: ClassVar[str | None]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    @abstractmethod
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits to rows X (n_samples, n_features), weighted by `sample_weight` (n_samples,)."""

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """The number of columns of `transform`, once fitted."""

    @abstractmethod
    def _transformed(self, rows: Floats) -> Floats:
        """What `transform` returns for rows already checked."""

    def transform(self, X: ArrayLike) -> Floats:
        """Rows X (n, d) transformed, shape (n, k); a data frame when `set_output` asked for one."""
        rows = self._rows(X)
        values = self._transformed(rows).astype(rows.dtype, copy=False)
        chosen = self.__dict__.get("_sklearn_output_config", {}).get("transform") or wanted_globally()
        if chosen == "default":
            return values
        framed: Floats = contained(values, self.get_feature_names_out(), X, chosen)
        return framed

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` returns: "default" (an array), "pandas" or "polars"; None leaves it as it is."""
        if transform is not None:
            # Under this name scikit-learn's `clone` takes it along.
            self._sklearn_output_config = {"transform": check_choice("transform", transform, CONTAINERS)}
        return self

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns of `transform`, shape (k,): the class's name in small letters, and a number."""
        self._check_fitted()
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{group}" for group in range(self._n_features_out)], dtype=object)

    def fit_transform(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Floats:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The constructor's parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: object) -> Self:
        """Sets parameters by name; `InvalidParameter` for a name that the constructor does not have."""
        known = self._names()
        for name, value in params.items():
            if name not in known:
                raise InvalidParameter(name, value, f"is not a parameter of {type(self).__name__}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = signature(type(self).__init__).parameters
        given = (
            f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name].default
        )
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator. Nobody else asks: it is there, and need not be imported."""
        utils = sys.modules["sklearn.utils"]
        return utils.Tags(
            estimator_type=self.kind,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(preserves_dtype=["float64", "float32"]),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _learn_features(self, n_features: int, names: NDArray[np.object_] | None) -> None:
        """Keeps the number of columns that a fit has seen, and their names when they had any."""
        self.n_features_in_ = n_features
        self.__dict__.pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names

    def _rows(self, X: ArrayLike) -> Floats:
        """Rows for a fitted estimator; `NotFittedError` before `fit`."""
        self._check_fitted()
        rows = check_rows(X, self.n_features_in_, owner=type(self).__name__)
        names, known = feature_names(X), getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and (names != known).any():
            column = int(np.argmax(names != known))
            raise InvalidRows(
                "The feature names should match those that were passed during fit, in their order: "
                f"column {column} is {names[column]!r} and must be {known[column]!r}"
            )
        return rows

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise also_theirs(NotFittedError)(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments "
                "before using this estimator."
            )


class Estimator(Transformer):
    """An iterative fit that puts rows into groups, and transforms them to their distances from the groups."""

    kind: ClassVar[str]
    converged_: bool
    state_: State

    @abstractmethod
    def predict(self, X: ArrayLike) -> Ints:
        """The group of each row, shape (n,)."""

    @abstractmethod
    def _distances(self, rows: Floats) -> Floats:
        """Distances (n, k) of rows already checked to the groups."""

    def _transformed(self, rows: Floats) -> Floats:
        return self._distances(rows)

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Ints:
        """`fit`, then `predict` of the same rows."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def _watched(
        self,
        steps: Generator[tuple[State, Info], None, Returned],
        told: Callable[[Info], Info] = lambda info: info,
    ) -> Generator[Info, None, Returned]:
        """The steps of a fit, with `state_` kept at the last of them until they end."""
        while True:
            try:
                self.state_, info = next(steps)
            except StopIteration as stop:
                self.__dict__.pop("state_", None)
                returned: Returned = stop.value
                return returned
            yield told(info)

    def _warn(self, sentence: str) -> None:
        warn(sentence, also_theirs(ConvergenceWarning), stacklevel=3)


def also_theirs(ours: type[Raised]) -> type[Raised]:
    """An error or warning of ours that is scikit-learn's of the same name, too, where that package is in use.

    Its tools, and its users' filters and handlers, know theirs by that name alone.
    """
    if "sklearn.exceptions" not in sys.modules:
        return ours
    return cast(type[Raised], _joined(ours.__name__))


@cache
def _joined(name: str) -> type[Exception]:
    ours: type[Exception] = getattr(errors, name)
    theirs: type[Exception] = getattr(sys.modules["sklearn.exceptions"], name)
    # Pickled as ours: a class made here cannot be found by its name.
    return type(name, (ours, theirs), {"__reduce__": lambda error: (ours, error.args)})


def feature_names(X: object) -> NDArray[np.object_] | None:
    """Names of the columns of a data frame, shape (d,), when all of them are strings."""
    columns = getattr(X, "columns", None)
    if columns is None or not all(isinstance(name, str) for name in columns):
        return None
    return np.array(list(columns), dtype=object)


def exhaust(steps: Generator[Any, None, Returned]) -> Returned:
    """Runs a generator to its end for what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            returned: Returned = stop.value
            return returned
