"""A warm process that runs one task after another, and that can be ended at any moment.

The process has no database and writes no file: whatever happens to it, nothing outside has changed.
Parent and child speak JSON and raw bytes over a pipe; nothing is pickled.
"""

import collections
import multiprocessing
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from core.threads import thread_map, usable_cores

Document = dict[str, Any]
# A task as JSON in, and where it stood if it was begun before (else no bytes); out, while it runs, its progress as
# JSON and, as bytes, where it stands; at its end a result, and bytes that go with it.
Target = Callable[[Document, bytes], Generator[Document | bytes, None, tuple[Document, bytes]]]
Explain = Callable[[BaseException], Document]


@dataclass(frozen=True)
class Progress:
    """The task goes on."""

    document: Document


@dataclass(frozen=True)
class Checkpoint:
    """Where the task stands: given to `start`, another process goes on from there."""

    content: bytes


@dataclass(frozen=True)
class Done:
    """The task's result."""

    document: Document
    content: bytes


@dataclass(frozen=True)
class Failed:
    """The task raised, and the process lives; what `Explain` made of it."""

    document: Document


class ProcessLost(Exception):
    """The process ended in the middle of a task; `gave_up` when by itself, for want of the memory that it may have."""

    def __init__(self, gave_up: bool = False) -> None:
        super().__init__()
        self.gave_up = gave_up


class TaskProcess:
    """The parent's end. Not thread-safe: one owner at a time."""

    def __init__(self, target: Target, explain: Explain, memory_bytes: int | None = None) -> None:
        self._child = (target, explain, memory_bytes)
        self._spawn()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def start(self, task: Document, checkpoint: bytes = b"") -> None:
        """Hands over a task, begun anew or from a checkpoint; raises `ProcessLost` when nobody is there to take it."""
        if not self._process.is_alive():
            self.restart()
        try:
            self._pipe.send_bytes(orjson.dumps(task))
            self._pipe.send_bytes(checkpoint)
        except OSError as error:
            raise ProcessLost from error

    def poll(self, timeout: float) -> Progress | Checkpoint | Done | Failed | None:
        """What the task has to say within `timeout` seconds, or None; raises `ProcessLost`."""
        try:
            if not self._pipe.poll(timeout):
                return None
            kind, document = orjson.loads(self._pipe.recv_bytes())
            if kind == "done":
                return Done(document, self._pipe.recv_bytes())
            if kind == "checkpoint":
                return Checkpoint(self._pipe.recv_bytes())
            return Progress(document) if kind == "progress" else Failed(document)
        except (EOFError, OSError) as error:
            raise ProcessLost(self._gave_up()) from error

    def restart(self) -> None:
        """Ends the process, whatever it is doing, and starts a fresh one."""
        self.end()
        self._spawn()

    def end(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _gave_up(self) -> bool:
        # BLAS ends the process by exit(1) where it gets no memory, and so does Python. A crash or a kill is a signal.
        self._process.join(1)
        return self._child[2] is not None and self._process.exitcode == 1

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, *self._child), daemon=True, name="mixtura-fit")
        self._process.start()
        theirs.close()


def _child(pipe: Connection, target: Target, explain: Explain, memory_bytes: int | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # they are the worker's to answer, whomever else they are sent to
        signal.signal(number, signal.SIG_IGN)
    tasks: queue.SimpleQueue[tuple[Document, bytes]] = queue.SimpleQueue()
    # Read in a thread of its own: when the parent dies, this process ends even inside a long computation.
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    if memory_bytes is not None:
        _cap_memory(memory_bytes)
    while True:
        _run(pipe, target, explain, *tasks.get())


def _receive(pipe: Connection, tasks: "queue.SimpleQueue[tuple[Document, bytes]]") -> None:
    try:
        while True:
            tasks.put((orjson.loads(pipe.recv_bytes()), pipe.recv_bytes()))
    finally:  # the parent is gone, or there is no memory left to listen to it
        os._exit(0)


def _run(pipe: Connection, target: Target, explain: Explain, task: Document, checkpoint: bytes) -> None:
    try:
        steps = target(task, checkpoint)
        while True:
            try:
                said = next(steps)
            except StopIteration as stop:
                document, content = stop.value
                _send(pipe, "done", document)
                pipe.send_bytes(content)
                return
            if isinstance(said, bytes):
                _send(pipe, "checkpoint", {})
                pipe.send_bytes(said)
            else:
                _send(pipe, "progress", said)
    except Exception as error:
        _send(pipe, "failed", explain(error))


def _send(pipe: Connection, kind: str, document: Document) -> None:
    pipe.send_bytes(orjson.dumps([kind, document], option=orjson.OPT_SERIALIZE_NUMPY))


def _thread_died(unraisable: Any) -> None:
    if isinstance(unraisable.exc_value, MemoryError):
        os._exit(1)  # whoever waits for that thread would wait for ever
    sys.__unraisablehook__(unraisable)


def _use_blas(square: NDArray[np.float64]) -> None:
    solve_triangular(cholesky(square @ square), square)


def _cap_memory(extra: int) -> None:
    """Lets the process have `extra` bytes of data beyond what it has now; past that, MemoryError.

    What BLAS needs for itself it takes before, NumPy's and SciPy's own: it has no way to say that it got none.
    """
    sys.unraisablehook = _thread_died
    square = np.eye(512)
    _use_blas(square)  # by threads of its own
    collections.deque(thread_map(_use_blas, [square] * 4 * usable_cores()), maxlen=0)
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra, used + extra))
