"""Chunks of rows mapped to statistics, and the statistics reduced in the order of the rows."""

__all__ = ["Chunk", "chunk_rows", "chunk_slices", "map_in_order", "map_reduce", "one_blas_thread"]

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from threading import Lock
from typing import Any, Generic, TypeVar

from threadpoolctl import (  # type: ignore[import-untyped]
    OpenBLASController,
    ThreadpoolController,
)

from core.types import Floats, MapLike

Item = TypeVar("Item")
Statistics = TypeVar("Statistics")

# A chunk's temporaries, rows × (features + components) doubles, are about 4 MiB: they stay near the
# processor, and are small beside the data.
CHUNK_VALUES = 2**19
CHUNK_ROWS_MIN, CHUNK_ROWS_MAX = 256, 2**16


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows: `X` (n, d), their weights (n,), and the index of the first one in the whole."""

    X: Floats
    sample_weight: Floats
    start: int


def chunk_slices(n_samples: int, n_features: int, n_components: int) -> list[slice]:
    """Slices that cover the rows in order.

    Their length depends on the shape of the problem alone, never on the number of threads: the same rows
    make the same chunks, and with them the same rounding, on any machine.
    """
    size = CHUNK_VALUES // (n_features + n_components)
    size = min(max(size, CHUNK_ROWS_MIN), CHUNK_ROWS_MAX)
    return [slice(start, min(start + size, n_samples)) for start in range(0, n_samples, size)]


def chunk_rows(X: Floats, sample_weight: Floats, n_components: int) -> list[Chunk]:
    """The rows as chunks; each holds views, not copies."""
    slices = chunk_slices(X.shape[0], X.shape[1], n_components)
    return [Chunk(X[rows], sample_weight[rows], rows.start) for rows in slices]


def map_reduce(
    function: Callable[[Chunk], Statistics],
    chunks: Iterable[Chunk],
    combine: Callable[[Statistics, Statistics], Statistics],
    chunk_map: MapLike = map,
) -> Statistics:
    """The statistics of all chunks: `function` of each one, folded from the first to the last.

    `chunk_map` may compute in any order and in any number of threads, as long as it *returns* in the order of
    the chunks, as `map` and `Executor.map` do. The fold is sequential, so the result has the same bits.
    """
    with one_blas_thread():
        return reduce(combine, chunk_map(_Alone(function), chunks))


def map_in_order(
    function: Callable[[Item], Statistics], items: Iterable[Item], chunk_map: MapLike = map
) -> list[Statistics]:
    """`function` of each item by a `chunk_map`, each one with BLAS held to one thread, wherever it is computed."""
    with one_blas_thread():
        return list(chunk_map(_Alone(function), items))


@dataclass(frozen=True)
class _Alone(Generic[Item, Statistics]):
    """A function of a chunk that holds BLAS to one thread by itself: the map may call it in another process."""

    function: Callable[[Item], Statistics]

    def __call__(self, item: Item) -> Statistics:
        with one_blas_thread():
            return self.function(item)


class _BlasLimit:
    """Holds BLAS to one thread while anybody needs it.

    The setting belongs to the process: of several fits in one process, the first to enter sets it and the last
    to leave restores it. Each one saving and restoring by itself would leave it at one thread for good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._libraries: list[Any] | None = None  # threadpoolctl is untyped here
        self._threads: list[int] = []

    def enter(self) -> None:
        with self._lock:
            if self._libraries is None:
                self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            if self._holders == 0:
                # threadpoolctl's own limit asks each library for all that it knows, every time.
                self._threads = [library.get_num_threads() for library in self._libraries]
                for library in self._libraries:
                    library.set_num_threads(1)
            self._holders += 1

    def leave(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and self._libraries is not None:
                # threadpoolctl ignores a thread other than the one that set the limit, unless that one lets go.
                release = getattr(OpenBLASController, "clear_controlling_thread", None)
                if release is not None:
                    release(force=True)
                for library, threads in zip(self._libraries, self._threads, strict=True):
                    library.set_num_threads(threads)


_blas = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside, a matrix product is computed by one thread: its bits do not depend on the machine's threads."""
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()
