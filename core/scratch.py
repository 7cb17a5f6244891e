"""Arrays that tasks compute in, kept between them: fresh large ones cost a task more than computing in them."""

__all__ = ["Pool", "Scratch"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Thing = TypeVar("Thing")

# How many arrays are remembered: looking one up is faster than making it.
VIEWS_MAX = 64


class Scratch:
    """Memory by name, for one task at a time."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}
        self._views: dict[tuple[str, tuple[int, ...], DTypeLike], NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of whatever was last left in this place; the last one of this name is then no longer to be used."""
        key = (name, shape, dtype)
        found = self._views.get(key)
        if found is None:
            if len(self._views) >= VIEWS_MAX:
                self._views.clear()
            found = self._views[key] = (
                self._made(name, prod(shape) * np.dtype(dtype).itemsize).view(dtype).reshape(shape)
            )
        return found

    def _made(self, name: str, size: int) -> NDArray[np.uint8]:
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            self._views = {key: view for key, view in self._views.items() if key[0] != name}
            memory = self._memory[name] = np.empty(size, dtype=np.uint8)
        return memory[:size]


class Pool(list[Thing]):
    """What no task is using: as many as there were ever tasks at a time. Sent elsewhere, none go along."""

    @contextmanager
    def borrowed(self, make: Callable[[], Thing]) -> Iterator[Thing]:
        """One that nobody else uses meanwhile, made where there is none."""
        try:
            thing = self.pop()
        except IndexError:
            thing = make()
        try:
            yield thing
        finally:
            self.append(thing)

    def __reduce__(self) -> tuple[type["Pool[Thing]"], tuple[()]]:
        return Pool, ()
