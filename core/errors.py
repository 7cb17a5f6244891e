"""What can go wrong, by name: a bad parameter, bad rows, and the ways in which a fit can fail."""

__all__ = [
    "CollapsedComponent",
    "ConvergenceWarning",
    "Diverged",
    "FitFailure",
    "InvalidCell",
    "InvalidParameter",
    "InvalidRows",
    "NotFittedError",
]

from typing import Protocol, runtime_checkable


class InvalidParameter(ValueError):
    """A parameter was refused: `name`, its `value`, and the bound that it breaks in `detail`."""

    def __init__(self, name: str, value: object, detail: str) -> None:
        # The arguments go to ValueError as they are: that is what pickling an exception relies on.
        super().__init__(name, value, detail)
        self.name = name
        self.value = value
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.name} = {_described(self.value)}: {self.detail}"


class InvalidRows(ValueError):
    """Rows were refused; `row` and `column` (0-based) tell where, when the fault has a place."""

    def __init__(self, detail: str, row: int | None = None, column: int | None = None) -> None:
        super().__init__(detail, row, column)
        self.detail = detail
        self.row = row
        self.column = column

    def __str__(self) -> str:
        place = ", ".join(
            f"{kind} {index}" for kind, index in (("row", self.row), ("column", self.column)) if index is not None
        )
        return f"{self.detail} ({place})" if place else self.detail


class InvalidCell(InvalidRows, TypeError):
    """An object among the rows is no number at all: a wrong type, and not only a wrong value."""


class NotFittedError(ValueError, AttributeError):
    """The estimator was used before `fit`."""


class ConvergenceWarning(UserWarning):
    """The fit ended, but not where the user should trust it without a look."""


class FitFailure(ArithmeticError):
    """A fit could not go on; `init` and `iteration` (1-based; 0 is the start itself) tell when, once known."""

    init: int | None = None
    iteration: int | None = None

    def __str__(self) -> str:
        when = "" if self.init is None else f" (start {self.init}, iteration {self.iteration})"
        return self.sentence() + when

    def sentence(self) -> str:
        """What happened, without the place in the fit."""
        return str(self.args[0]) if self.args else "the fit failed"


class CollapsedComponent(FitFailure):
    """A covariance is singular: that of `component`, or of all of them together where it is None (tied).

    `feature` is the first one without variance of its own, given those before it (None where one variance stands
    for all); what it has, `variance`, is not above `bound`, the size of round-off.
    """

    def __init__(self, component: int | None, feature: int | None, variance: float, bound: float) -> None:
        super().__init__(component, feature, variance, bound)
        self.component = component
        self.feature = feature
        self.variance = variance
        self.bound = bound

    def sentence(self) -> str:
        where = "" if self.feature is None else "there "
        return (
            f"{self.subject} collapsed{self.place}: the variance {where}is {self.variance:.3g} and must be above "
            f"{self.bound:.3g}; use fewer components, a larger reg_covar, or drop constant and collinear features"
        )

    @property
    def subject(self) -> str:
        """Whose covariance it is, in words."""
        return "the shared covariance" if self.component is None else f"component {self.component}"

    @property
    def place(self) -> str:
        """' at feature j', or nothing."""
        return "" if self.feature is None else f" at feature {self.feature}"


class Diverged(FitFailure):
    """The objective or a parameter stopped being a finite number."""


@runtime_checkable
class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


def _described(value: object) -> str:
    if isinstance(value, _Shaped) and value.shape:
        return f"array of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
