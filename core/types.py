"""The few types that every module speaks of."""

__all__ = ["Floats", "Ints", "MapLike"]

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

# float64, except where rows given as float32 are computed with as such.
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


class MapLike(Protocol):
    """Anything called like the builtin `map`: results come in the order of the items, however they were computed."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]: ...
