"""Workers as processes of their own on either database, without an API."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import select, text

from app.domain.fits import DataRef, FitRequest
from app.domain.jobs import Job
from app.domain.rows import Rows
from app.services.datasets import DatasetService, InlineData
from app.services.jobs import JobService
from app.services.training import TrainingService
from app.storage import jobs
from app.storage.opening import open_storage
from app.storage.tables import jobs as table
from app.storage.tables import versions

LEASE_S = 1.5
# One run of two or three seconds, which keeps where it stands after one.
LONG = {"n_components": 8, "tol": 0, "patience": 10**6, "max_iter": 6000, "random_state": 3}


class Worker:
    """`mixtura worker`; its process of a fit is its only child that computes."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as out:
            command = [sys.executable, "-m", "app.cli", "worker"]
            self.process = subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out)

    def fit_process(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        (process,) = (child for child in children if "spawn_main" in " ".join(child.cmdline()))
        return process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Site:
    """A database and files, jobs for them, and workers."""

    def __init__(self, url: str, directory: Path) -> None:
        self.environment = {
            "MIXTURA_DATA_DIR": str(directory),
            "MIXTURA_DATABASE_URL": url,
            "MIXTURA_JOB_LEASE_S": str(LEASE_S),
        }
        self.database, self.artifacts = open_storage(url, f"file://{directory / 'artifacts'}")
        self._datasets = DatasetService(self.database, self.artifacts)
        self._training = TrainingService(self.database, self.artifacts, self._datasets, 1000, lambda: None)
        self._log = directory / "workers.log"
        self._workers: list[Worker] = []

    def worker(self, **environment: str) -> Worker:
        worker = Worker(self.environment | environment, self._log)
        self._workers.append(worker)
        return worker

    def submit(self, n_samples: int = 4000, **params: Any) -> str:
        X = np.random.default_rng(8).normal(size=(n_samples, 4))
        request = FitRequest("m", "gaussian_mixture", DataRef(""), params=params)
        rows = InlineData(Rows(X, ["a", "b", "c", "d"]))
        return self._training.submit(request, rows, None).job.id

    def job(self, job_id: str) -> Job:
        return JobService(self.database).get(job_id)

    def row(self, job_id: str) -> dict[str, Any]:
        with self.database.read() as tx:
            return dict(tx.execute(select(table).where(table.c.id == job_id)).one()._mapping)

    def checkpoint(self, job_id: str) -> bytes | None:
        with self.database.read() as tx:
            return jobs.checkpoint(tx, job_id)

    def versions(self) -> list[Any]:
        with self.database.read() as tx:
            return list(tx.execute(select(versions).order_by(versions.c.version)))

    def files(self) -> set[str]:
        return {f"models/{path.name}" for path in (self.artifacts.root / "models").glob("*")}

    def wait(self, holds: Callable[[], Any], timeout: float = 30) -> Any:
        until = time.monotonic() + timeout
        while not (found := holds()):
            assert time.monotonic() < until, self._log.read_text()[-4000:]
            time.sleep(0.01)
        return found

    def wait_for_end(self, job_id: str) -> Job:
        self.wait(lambda: self.job(job_id).ended)
        return self.job(job_id)

    @contextmanager
    def locked(self, job_id: str) -> Iterator[None]:
        """Nobody else can write to the job."""
        with self.database.write() as tx:
            assert jobs.lock(tx, job_id) is not None
            yield

    def is_locked(self, job_id: str) -> bool:
        """Whether a transaction that somebody is in the middle of holds the job."""
        if self.database.engine.dialect.name == "postgresql":
            with self.database.read() as tx:
                query = text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE SKIP LOCKED")
                return tx.execute(query, {"id": job_id}).first() is None
        file = self.database.engine.url.database
        assert file is not None
        probe = sqlite3.connect(file, timeout=0.1, isolation_level=None)
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            probe.close()
        return False

    def suspend(self, worker: Worker, job_id: str) -> None:
        """SIGSTOP, and not in the middle of a transaction."""
        while True:
            worker.signal(signal.SIGSTOP)
            if not self.is_locked(job_id):
                return
            worker.signal(signal.SIGCONT)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self.database.close()
