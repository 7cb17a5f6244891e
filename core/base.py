"""What scikit-learn expects of any estimator: its parameters by name, and a word when it is not fitted."""

__all__ = ["Estimator", "exhaust"]

from collections.abc import Generator
from inspect import signature
from typing import Self, TypeVar
from warnings import warn

from numpy.typing import ArrayLike

from core.checks import check_rows
from core.errors import ConvergenceWarning, InvalidParameter, NotFittedError
from core.fit import Info
from core.types import Floats

Returned = TypeVar("Returned")


class Estimator:
    """Parameters are the constructor's arguments, kept as they came; `fit` leaves attributes ending in `_`."""

    n_features_in_: int
    converged_: bool

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

    def _rows(self, X: ArrayLike) -> Floats:
        """Rows for a fitted estimator; `NotFittedError` before `fit`."""
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        return check_rows(X, self.n_features_in_, owner=type(self).__name__)

    def _warn(self, sentence: str) -> None:
        warn(sentence, ConvergenceWarning, stacklevel=3)


def exhaust(steps: Generator[Info, None, Returned]) -> Returned:
    """Runs a generator to its end for what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            returned: Returned = stop.value
            return returned
