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

# How long a thread waits for the next call, in seconds. To begin one anew takes longer than a small step of a fit, and
# its memory is new to it, too.
PATIENCE = 0.5


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


class _Worker:
    """A thread that works for one call after another, and ends when none comes for `PATIENCE` seconds."""

    def __init__(self) -> None:
        self._called, self._job = Lock(), _nothing
        self._called.acquire()
        # `Thread.start` waits until the thread runs: a millisecond, where the one before it already computes.
        start_new_thread(self._serve, ())

    def call(self, job: Callable[[], None]) -> None:
        """Has the job done, in the thread."""
        self._job = job
        self._called.release()

    def _serve(self) -> None:
        while True:
            if self._called.acquire(timeout=PATIENCE):
                self._job()
                self._job = _nothing
                _idle.append(self)
                continue
            try:
                _idle.remove(self)
            except ValueError:
                continue  # somebody has just taken it, and is about to call
            return


def _nothing() -> None:
    """No job."""


_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    # No thread but the calling one goes along.
    os.register_at_fork(after_in_child=_idle.clear)


def thread_map(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]:
    """Like `map`, over as many threads as there are usable cores; a single item is not worth a thread.

    The calling thread is one of them; the others wait a moment for the next call, and then end: there is nothing to
    shut down, to pickle, or to find dead after a fork. Each takes the next item when it is done with one; the first
    item that fails, in their order, raises its error, and then no further one is begun.
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

    for _ in range(workers - 1):
        try:
            worker = _idle.pop()
        except IndexError:
            worker = _Worker()
        worker.call(work)
    work()
    done.acquire()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(tasks))]
