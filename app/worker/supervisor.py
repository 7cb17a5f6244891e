"""The embedded worker of `mixtura serve`: a process of its own, started, woken, and started again if it dies."""

import contextlib
import logging
import os
import subprocess
import sys
import threading

from app.domain.errors import NotReady
from app.domain.ids import new_id
from app.storage.database import Database
from app.worker.entry import retire

log = logging.getLogger(__name__)

STOP_S = 5.0
LOOK_S = 0.1  # how often the worker is looked after
BACKOFF_S = (0.0, 0.5, 2.0, 5.0)


class WorkerSupervisor:
    """One worker process, tied to this one by its standard input."""

    def __init__(self, database: Database, concurrency: int = 1) -> None:
        self._database = database
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._stdin = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name="mixtura-supervisor", daemon=True)

    def start(self) -> None:
        """Begins to supervise."""
        self._thread.start()

    def wake(self) -> None:
        """Tells the worker that there is work. If it cannot be told, it looks by itself soon."""
        process = self._process
        if process is not None and process.stdin is not None:
            with self._stdin, contextlib.suppress(OSError, ValueError):
                os.write(process.stdin.fileno(), b"\n")

    def begin_to_stop(self) -> None:
        """Tells the worker to end in good order, and does not wait for it."""
        self._stopping.set()

    def stop(self) -> None:
        """Ends the worker in good order, within `STOP_S` seconds."""
        self._stopping.set()
        self._thread.join(STOP_S + 1)

    def _keep_alive(self) -> None:
        failures = 0
        while not self._stopping.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]):
            worker = new_id()
            self._process = self._launch(worker)
            code = self._wait(self._process)
            if self._stopping.is_set():
                return
            failures += 1
            log.error("the worker ended with code %s; starting another", code)
            self._retire(worker)

    def _launch(self, worker: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.cli", "worker", "--supervised", "--worker-id", worker]
        command += ["--concurrency", str(self._concurrency)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)  # a wake-up that finds the pipe full has been said before
        return process

    def _retire(self, worker: str) -> None:
        try:
            retire(self._database, worker)
        except NotReady:  # its leases will end by themselves
            log.warning("could not free the jobs of worker %s", worker)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=LOOK_S)
        # Not by a signal: one may have reached it already, from a terminal, and a second one ends it at once.
        assert process.stdin is not None
        with self._stdin:
            process.stdin.close()
        try:
            return process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
