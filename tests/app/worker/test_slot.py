"""A slot of a worker with a real process and either database: how jobs are stopped, and what that leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import psutil
import pytest
from sqlalchemy import Connection, select, update

from app.compute.process import TaskProcess
from app.domain.errors import NotReady
from app.domain.fits import DataRef, FitRequest
from app.domain.ids import new_id
from app.domain.jobs import FailureCode, Job, Status
from app.domain.registry import ArtifactRef
from app.services.fitting import FitTask
from app.services.jobs import JobService
from app.services.settlement import SettlementService
from app.services.training import TrainingService
from app.settings import Settings
from app.storage import jobs
from app.storage.artifacts import ArtifactStore
from app.storage.database import Clock, Database
from app.storage.tables import jobs as table
from app.storage.tables import unnamed_files, versions
from app.worker.signals import Signals
from app.worker.slot import Slot
from app.worker.tasks import explain
from tests.app.worker.targets import run


class Tasks:
    """Hands the request over as it is."""

    def task(self, job: Job) -> FitTask:
        return FitTask(job.request, "", [], {}, "")


class Bench:
    """A slot that runs in a thread, and what it works on."""

    def __init__(self, database: Database, artifacts: ArtifactStore, **settings: Any) -> None:
        self.database = database
        self.signals = Signals()
        memory = settings.get("job_memory_bytes")
        self.process = TaskProcess(run, explain, memory)
        training = cast(TrainingService, Tasks())
        settlement = SettlementService(database, artifacts)
        slot = Slot("w1", Settings(**settings), database, training, settlement, self.process, self.signals)
        self.thread = threading.Thread(target=slot.run)
        self.thread.start()

    def submit(self, do: str, timeout_s: float | None = None) -> Job:
        request = FitRequest("m", "kmeans", DataRef("d"), description=do, timeout_s=timeout_s)
        with self.database.write() as tx:
            job = jobs.add(tx, new_id(), "fit", request)
        self.signals.announce()
        return job

    def look(self, job: Job) -> Job:
        return JobService(self.database).get(job.id)

    def wait(self, job: Job, reached: Callable[[Job], Any], timeout: float = 15) -> Job:
        until = time.monotonic() + timeout
        while not reached(found := self.look(job)):
            assert time.monotonic() < until, found
            time.sleep(0.01)
        return found

    def begun(self, job: Job) -> psutil.Process:
        """The process that runs the job, once it is inside its long call."""
        self.wait(job, lambda job: job.progress)
        self.wait(job, lambda job: self.checkpoint(job))
        time.sleep(0.3)
        return psutil.Process(self.process.pid)

    def checkpoint(self, job: Job) -> bytes | None:
        with self.database.read() as tx:
            return jobs.checkpoint(tx, job.id)

    def stop(self) -> None:
        self.signals.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def working(database: Database, artifacts: ArtifactStore, **settings: Any) -> Iterator[Bench]:
    bench = Bench(database, artifacts, **settings)
    try:
        yield bench
    finally:
        bench.stop()


def assert_lives_on(bench: Bench) -> None:
    assert bench.wait(bench.submit("nothing"), lambda job: job.ended).status is Status.SUCCEEDED


def test_cancel_ends_a_long_call_within_a_second(database: Database, artifacts: ArtifactStore) -> None:
    with working(database, artifacts) as bench:
        job = bench.submit("blas")
        process = bench.begun(job)
        JobService(database).cancel(job.id)
        process.wait(1.0)
        assert bench.look(job).status is Status.CANCELLED
        assert bench.checkpoint(job) is None
        assert_lives_on(bench)


@pytest.mark.parametrize(("timeout_s", "setting"), [(0.4, 60.0), (None, 0.4), (60.0, 0.4)])
def test_a_job_runs_no_longer_than_it_may(
    database: Database, artifacts: ArtifactStore, timeout_s: float | None, setting: float
) -> None:
    with working(database, artifacts, job_timeout_s=setting) as bench:
        job = bench.wait(bench.submit("blas", timeout_s), lambda job: job.ended, timeout=5)
        assert job.error is not None
        assert (job.status, job.error.code) == (Status.FAILED, FailureCode.TIMEOUT)
        assert "0.4 s" in job.error.detail
        assert job.finished_at is not None
        assert job.started_at is not None
        assert 0.4 <= (job.finished_at - job.started_at).total_seconds() < 1.4
        if setting > 1:
            assert_lives_on(bench)


@pytest.mark.parametrize("do", ["memory", "give up"])
def test_out_of_memory_fails_the_job_alone(database: Database, artifacts: ArtifactStore, do: str) -> None:
    with working(database, artifacts, job_memory_bytes=2**28) as bench:
        job = bench.wait(bench.submit(do), lambda job: job.ended)
        assert job.error is not None
        assert (job.status, job.error.code, job.attempts) == (Status.FAILED, FailureCode.OUT_OF_MEMORY, 1)
        assert_lives_on(bench)


def test_a_job_that_takes_its_process_down_each_time_is_worker_lost(
    database: Database, artifacts: ArtifactStore
) -> None:
    with working(database, artifacts) as bench:
        job = bench.wait(bench.submit("die"), lambda job: job.ended)
        assert job.error is not None
        assert (job.status, job.error.code, job.attempts) == (Status.FAILED, FailureCode.WORKER_LOST, 3)
        with database.read() as tx:
            told = [event.data for event in jobs.events_after(tx, job.id, 0) if event.name == "progress"]
        pids = [data["pid"] for data in told]
        assert len(set(pids)) == 3
        assert [data["from"] for data in told] == ["", f"die:{pids[0]}", f"die:{pids[1]}"]
        assert_lives_on(bench)


def test_a_worker_that_stops_hands_its_job_back_with_its_checkpoint(
    database: Database, artifacts: ArtifactStore
) -> None:
    with working(database, artifacts) as bench:
        job = bench.submit("blas")
        process = bench.begun(job)
        began = time.monotonic()
        bench.stop()
        assert time.monotonic() - began < 2
        assert not process.is_running()
        found = bench.look(job)
        assert (found.status, found.attempts, found.progress) == (Status.QUEUED, 0, None)
        assert bench.checkpoint(job) == f"blas:{process.pid}".encode()


def test_a_process_that_ends_because_all_are_stopped_costs_no_attempt(
    database: Database, artifacts: ArtifactStore
) -> None:
    with working(database, artifacts) as bench:
        job = bench.submit("blas")
        process = bench.begun(job)
        bench.signals.stop()
        process.kill()
        bench.stop()
        found = bench.look(job)
        assert (found.status, found.attempts) == (Status.QUEUED, 0)


class Flaky(Database):
    """A database that goes away: before a transaction, or after its commit but before the answer."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.away = False
        self.answers_lost = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.away:
            raise NotReady("The database does not answer.")
        with super().write() as tx:
            settled = self.answers_lost > 0 and tx.execute(select(versions.c.version)).first() is None
            yield tx
            settled = settled and tx.execute(select(versions.c.version)).first() is not None
        if settled:
            self.answers_lost -= 1
            raise NotReady("The answer was lost.")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.away:
            raise NotReady("The database does not answer.")
        with super().read() as tx:
            yield tx


@pytest.fixture
def flaky(database: Database) -> Iterator[Flaky]:
    flaky = Flaky(database.engine.url.render_as_string(hide_password=False))
    yield flaky
    flaky.close()


def test_a_fit_goes_on_while_the_database_is_away(flaky: Flaky, database: Database, artifacts: ArtifactStore) -> None:
    with working(flaky, artifacts, job_timeout_s=3) as bench:
        job = bench.submit("blas")
        process = bench.begun(job)
        flaky.away = True
        time.sleep(0.8)
        assert process.is_running()
        process.wait(10)  # its time is up, which cannot be said yet
        flaky.away = False
        found = bench.wait(job, lambda job: job.ended)
        assert found.error is not None
        assert (found.error.code, found.attempts) == (FailureCode.TIMEOUT, 1)


def test_a_commit_whose_answer_was_lost_is_found_out(flaky: Flaky, artifacts: ArtifactStore) -> None:
    flaky.answers_lost = 1
    with working(flaky, artifacts) as bench:
        job = bench.wait(bench.submit("nothing"), lambda job: job.ended)
        assert job.status is Status.SUCCEEDED
    assert flaky.answers_lost == 0
    with flaky.read() as tx:
        (row,) = tx.execute(select(versions.c.version, versions.c.artifact_key))
        assert tx.execute(select(unnamed_files)).all() == []  # or the janitor would take the file
    assert row.version == 1
    assert artifacts.path(row.artifact_key).read_bytes() == b"a model"


class Full(ArtifactStore):
    """No space is left on it."""

    full = True

    def put(self, key: str, content: bytes) -> ArtifactRef:
        if self.full:
            raise NotReady("The artifact store cannot be written: No space left on device.")
        return super().put(key, content)


def test_a_finished_fit_waits_for_space_and_can_be_cancelled_meanwhile(
    database: Database, artifacts: ArtifactStore
) -> None:
    full = Full(artifacts.root)
    with working(database, full) as bench:
        cancelled, kept = bench.submit("nothing"), bench.submit("nothing")
        bench.wait(cancelled, bench.checkpoint)
        JobService(database).cancel(cancelled.id)
        bench.wait(kept, bench.checkpoint)
        time.sleep(0.3)
        assert bench.look(kept).status is Status.RUNNING
        full.full = False
        found = bench.wait(kept, lambda job: job.ended)
        assert (found.status, found.attempts) == (Status.SUCCEEDED, 1)
        assert bench.look(cancelled).status is Status.CANCELLED


def test_what_is_settled_meanwhile_stays_as_it_is(database: Database, artifacts: ArtifactStore) -> None:
    full = Full(artifacts.root)
    with working(database, full) as bench:
        job = bench.submit("nothing")
        bench.wait(job, lambda job: job.progress)
        with database.write() as tx:  # its lease runs out, and another worker takes it
            tx.execute(update(table).where(table.c.id == job.id).values(lease_until=Clock() - 1))
            taken = jobs.claim(tx, "w2", 60, 3)
        assert taken is not None
        full.full = False
        assert_lives_on(bench)
        assert bench.look(job).status is Status.RUNNING
        assert SettlementService(database, artifacts).hand_back(taken)
        assert bench.wait(job, lambda job: job.ended).status is Status.SUCCEEDED
    with database.read() as tx:
        keys = set(tx.execute(select(versions.c.artifact_key)).scalars())
    assert {f"models/{path.name}" for path in (artifacts.root / "models").iterdir()} == keys
