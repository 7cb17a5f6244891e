"""What scikit-learn expects of any estimator: parameters by name, tags, and a word when it is not fitted."""

__all__ = ["Estimator", "exhaust"]

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from inspect import signature
from typing import Any, ClassVar, Self, TypeVar
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.checks import check_rows
from core.errors import ConvergenceWarning, InvalidParameter, InvalidRows, NotFittedError
from core.fit import Info, State
from core.types import Floats, Ints

Returned = TypeVar("Returned")


class Estimator(ABC):
    """Parameters are the constructor's arguments, kept as they came; `fit` leaves attributes ending in `_`."""

    kind: ClassVar[str]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    converged_: bool
    state_: State

    @abstractmethod
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fits to rows X (n_samples, n_features), weighted by `sample_weight` (n_samples,)."""

    @abstractmethod
    def predict(self, X: ArrayLike) -> Ints:
        """The group of each row, shape (n,)."""

    @abstractmethod
    def transform(self, X: ArrayLike) -> Floats:
        """Distances of each row to the groups, shape (n, k)."""

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Ints:
        """`fit`, then `predict` of the same rows."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

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
            transformer_tags=utils.TransformerTags(preserves_dtype=[]),
        )

    def _training_rows(self, X: ArrayLike) -> Floats:
        """Rows to be fitted to, whose columns' names are kept when they have any."""
        rows = check_rows(X)
        self.__dict__.pop("feature_names_in_", None)
        names = feature_names(X)
        if names is not None:
            self.feature_names_in_ = names
        return rows

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
        if hasattr(self, "n_features_in_"):
            return
        theirs = sys.modules.get("sklearn.exceptions")
        # Where scikit-learn is in use, its tools must be able to catch ours by their own name.
        kind = NotFittedError if theirs is None else type("NotFittedError", (NotFittedError, theirs.NotFittedError), {})
        raise kind(f"this {type(self).__name__} is not fitted yet: call fit first")

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
        warn(sentence, ConvergenceWarning, stacklevel=3)


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
