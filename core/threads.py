"""A `map` over threads: what the estimators map their chunks with."""

__all__ = ["thread_map", "usable_cores"]

import os
from collections.abc import Callable, Iterable
from functools import cache
from threading import Thread
from typing import TypeVar

from joblib import cpu_count  # type: ignore[import-untyped]

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, its container's share, and `OMP_NUM_THREADS` when it is set.

    joblib sets that variable in its workers, so that a fit in each of them does not ask for all cores again.
    """
    cores = _shared_cores()
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdecimal() else cores


@cache
def _shared_cores() -> int:
    # Read once: to ask for the container's share takes longer than a small step of a fit.
    cores: int = cpu_count()
    return cores


def thread_map(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]:
    """Like `map`, over as many threads as there are usable cores; a single item is not worth a thread.

    The threads live as long as the call: there is nothing to shut down, to pickle, or to find dead after a fork. Each
    takes the next item when it is done with one; the first item that fails, in their order, raises its error.
    """
    tasks = list(items)
    if len(tasks) < 2:
        return [function(task) for task in tasks]
    workers = min(usable_cores(), len(tasks))
    if workers < 2:
        return [function(task) for task in tasks]
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    indices = iter(range(len(tasks)))

    def work() -> None:
        for index in indices:
            try:
                results[index] = function(tasks[index])
            except BaseException as error:
                errors[index] = error
            if errors:
                return

    # A pool's queues and locks would cost half a millisecond: a tenth of an iteration over 100 000 rows.
    threads = [Thread(target=work, name=f"chunks_{i}") for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(tasks))]
