"""A `map` over threads: what the estimators map their chunks with."""

__all__ = ["thread_map", "usable_cores"]

import os
from _thread import start_new_thread
from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock, Semaphore
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

    The threads live as long as the call: there is nothing to shut down, to pickle, or to find dead after a fork. The
    calling thread is one of them. Each takes the next item when it is done with one; the first item that fails, in
    their order, raises its error, and then no further one is begun.
    """
    tasks = list(items)
    workers = min(usable_cores(), len(tasks)) if len(tasks) > 1 else 1
    if workers < 2:
        return [function(task) for task in tasks]
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    indices = iter(range(len(tasks)))
    ended, done = Semaphore(len(tasks) - 1), Lock()
    done.acquire()

    def work() -> None:
        for index in indices:
            try:
                if not errors:
                    results[index] = function(tasks[index])
            except BaseException as error:
                errors[index] = error
            if not ended.acquire(blocking=False):
                done.release()

    # `Thread.start` waits until the thread runs: a millisecond, where the one before it already computes. A pool's
    # queues cost half of that. An iteration over 100 000 rows takes three.
    for _ in range(workers - 1):
        start_new_thread(work, ())
    work()
    done.acquire()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(tasks))]
