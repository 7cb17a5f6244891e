"""Workers that are told to stop, told twice, or suspended past their lease: real processes, either database."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.jobs import FailureCode, Status
from tests.faults.workers import LONG, Site
from tests.service import Service


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(database_url, tmp_path)
    yield site
    site.close()


def test_sigterm_hands_the_job_back_with_its_checkpoint(site: Site) -> None:
    job = site.submit(**LONG)
    worker = site.worker()
    kept = site.wait(lambda: site.checkpoint(job))
    fit = worker.fit_process()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(5) == 0
    assert not fit.is_running()
    found = site.job(job)
    assert (found.status, found.attempts) == (Status.QUEUED, 0)
    assert len(site.checkpoint(job) or b"") >= len(kept)
    site.worker()
    found = site.wait_for_end(job)
    assert (found.status, found.attempts) == (Status.SUCCEEDED, 1)
    assert site.checkpoint(job) is None


def test_a_second_sigterm_ends_at_once_and_loses_nothing(site: Site) -> None:
    job = site.submit(**LONG)
    worker = site.worker()
    site.wait(lambda: site.checkpoint(job))
    fit = worker.fit_process()
    with site.locked(job):  # so that it cannot be handed back
        worker.signal(signal.SIGTERM)
        time.sleep(0.7)
        assert worker.process.poll() is None
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(0.5) == 128 + signal.SIGTERM
        fit.wait(2)
    assert site.job(job).status is Status.RUNNING
    assert site.checkpoint(job) is not None
    site.worker()
    found = site.wait_for_end(job)
    assert (found.status, found.attempts) == (Status.SUCCEEDED, 2)


def test_a_worker_that_cannot_hand_back_ends_in_time_all_the_same(site: Site) -> None:
    job = site.submit(**LONG)
    worker = site.worker()
    site.wait(lambda: site.checkpoint(job))
    with site.locked(job):
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(5.2) == 1
    assert site.job(job).status is Status.RUNNING


def test_a_service_that_stops_hands_its_jobs_back_within_five_seconds(site: Site, tmp_path: Path) -> None:
    service = Service(tmp_path, **site.environment).start()
    try:
        job = site.submit(**LONG)
        site.wait(lambda: site.checkpoint(job))
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 5
    finally:
        service.stop()
    found = site.job(job)
    assert (found.status, found.attempts) == (Status.QUEUED, 0)
    assert site.checkpoint(job) is not None


def test_a_second_sigterm_ends_the_service_at_once_and_its_worker_still_hands_back(site: Site, tmp_path: Path) -> None:
    service = Service(tmp_path, **site.environment).start()
    try:
        job = site.submit(**LONG)
        site.wait(lambda: site.checkpoint(job))
        (worker,) = service.workers()
        with site.locked(job):
            service.api.terminate()
            time.sleep(1.0)
            assert service.api.is_running()
            service.api.terminate()
            assert service.wait(0.5) == 128 + signal.SIGTERM
        worker.wait(5)
    finally:
        service.stop()
    found = site.job(job)
    assert (found.status, found.attempts) == (Status.QUEUED, 0)
    assert site.checkpoint(job) is not None


def test_a_fit_that_needs_too_much_memory_fails_and_its_worker_lives_on(site: Site) -> None:
    worker = site.worker(MIXTURA_JOB_MEMORY_BYTES=str(24 * 2**20))
    large, small = site.submit(1_000_000, n_components=3), site.submit(n_components=2)
    found = site.wait_for_end(large)
    assert found.error is not None
    assert (found.status, found.error.code, found.attempts) == (Status.FAILED, FailureCode.OUT_OF_MEMORY, 1)
    assert site.wait_for_end(small).status is Status.SUCCEEDED
    assert worker.process.poll() is None


@pytest.mark.parametrize("goes_on", [False, True], ids=["with its fit", "while its fit goes on"])
def test_a_worker_suspended_past_its_lease_changes_nothing_that_another_settled(site: Site, goes_on: bool) -> None:
    job = site.submit(**LONG)
    suspended = site.worker()
    site.wait(lambda: site.checkpoint(job))
    site.suspend(suspended, job)
    fit = suspended.fit_process()
    if not goes_on:  # else its result waits in the pipe
        fit.suspend()
    other = site.worker()
    found = site.wait_for_end(job)
    assert (found.status, found.attempts) == (Status.SUCCEEDED, 2)
    other.signal(signal.SIGTERM)
    assert other.process.wait(5) == 0
    row, registered, files = site.row(job), site.versions(), site.files()
    assert row["worker"] is not None
    fit.resume()
    suspended.signal(signal.SIGCONT)
    # It is done with the first job when it takes the next one.
    following = site.submit(n_components=2, random_state=0)
    assert site.wait_for_end(following).status is Status.SUCCEEDED
    assert site.row(job) == row
    assert site.versions()[:1] == registered
    assert [version.job_id for version in site.versions()] == [job, following]
    assert site.files() == {version.artifact_key for version in site.versions()} > files
