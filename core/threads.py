"""A `map` over threads: what the estimators map their chunks with."""

__all__ = ["thread_map", "usable_cores"]

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from joblib import cpu_count  # type: ignore[import-untyped]

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, its container's share, and `OMP_NUM_THREADS` when it is set.

    joblib sets that variable in its workers, so that a fit in each of them does not ask for all cores again.
    """
    cores: int = cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdecimal() else cores


def thread_map(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]:
    """Like `map`, over as many threads as there are usable cores; a single item is not worth a thread.

    The threads live as long as the call. Starting them costs some 100 µs, and in return there is nothing to shut
    down, to pickle, or to find dead after a fork.
    """
    tasks = list(items)
    if len(tasks) < 2:
        return [function(task) for task in tasks]
    workers = min(usable_cores(), len(tasks))
    if workers < 2:
        return [function(task) for task in tasks]
    with ThreadPoolExecutor(workers, thread_name_prefix="chunks") as pool:
        return list(pool.map(function, tasks))
