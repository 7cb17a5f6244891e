"""Processes are killed in the middle of fits; every accepted fit still becomes a version, once."""

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select

from app.storage.tables import aliases, jobs, versions
from tests.app.api.geyser import fit_document
from tests.postgres import postgres_database
from tests.service import Service

N_FITS = 20
# About a fifth of a second each: long enough to be killed in the middle of.
SLOWISH = {"n_components": 6, "n_init": 8, "tol": 0, "max_iter": 60, "random_state": 0}


@pytest.fixture(params=["sqlite", "postgresql"])
def fragile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        environment = {"MIXTURA_JOB_LEASE_S": "3"}
        if request.param == "postgresql":
            environment["MIXTURA_DATABASE_URL"] = stack.enter_context(postgres_database())
        service = Service(tmp_path / "data", **environment)
        service.start()
        stack.callback(service.stop)
        yield service


def submit(service: Service, n: int = N_FITS) -> list[str]:
    with service.client() as http:
        answers = [http.post("/v1/fits", json=fit_document("killed", params=SLOWISH, alias="newest")) for _ in range(n)]
    assert [answer.status_code for answer in answers] == [202] * n
    return [answer.json()["id"] for answer in answers]


def wait_until(service: Service, ended: int, timeout: float = 90) -> None:
    """Until that many jobs have ended."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        try:
            if len(httpx.get(f"{service.url}/v1/jobs?status=succeeded,failed&limit=200").json()["items"]) >= ended:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"fewer than {ended} jobs ended:\n{service.log.read_text()[-4000:]}")


def check_invariants(service: Service, accepted: list[str]) -> None:
    """By reading the database and the disk, not by asking the service."""
    database = service.database()
    with database.read() as tx:
        status = {row.id: row.status for row in tx.execute(select(jobs))}
        rows: list[Any] = list(tx.execute(select(versions).order_by(versions.c.version)))
        pointing = {row.alias: row.version for row in tx.execute(select(aliases))}
    database.close()
    assert status == dict.fromkeys(accepted, "succeeded")
    assert [row.version for row in rows] == list(range(1, len(accepted) + 1))
    assert sorted(row.job_id for row in rows) == sorted(accepted)
    assert pointing == {"newest": len(accepted)}
    root = service.data_dir / "artifacts"
    for row in rows:
        assert hashlib.sha256((root / row.artifact_key).read_bytes()).hexdigest() == row.artifact_sha256


def test_the_api_is_killed_in_the_middle(fragile: Service) -> None:
    accepted = submit(fragile)
    wait_until(fragile, ended=3)
    workers = fragile.workers()
    fragile.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "the worker outlived its supervisor"
    fragile.start()
    wait_until(fragile, ended=N_FITS)
    check_invariants(fragile, accepted)


def test_the_worker_is_killed_in_the_middle(fragile: Service) -> None:
    accepted = submit(fragile)
    wait_until(fragile, ended=3)
    (worker,) = fragile.workers()
    children = worker.children(recursive=True)
    worker.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "the process of a fit outlived its worker"
    wait_until(fragile, ended=N_FITS)
    check_invariants(fragile, accepted)


def test_whatever_is_killed_at_random(fragile: Service) -> None:
    seed = int(os.environ.get("MIXTURA_FAULT_SEED", "20261121"))
    dice = random.Random(seed)
    accepted = submit(fragile)
    for _ in range(6):
        time.sleep(dice.uniform(0.1, 0.5))
        victim = dice.choice(["api", "worker", "fit"])
        workers = fragile.workers()
        if victim == "api":
            fragile.kill()
            fragile.start()
        elif workers:
            fits = [child for child in workers[0].children() if "spawn_main" in " ".join(child.cmdline())]
            dice.choice(fits if victim == "fit" and fits else workers).send_signal(signal.SIGKILL)
    wait_until(fragile, ended=N_FITS)
    check_invariants(fragile, accepted)


def test_sigterm_hands_the_job_back(fragile: Service) -> None:
    (accepted,) = submit(fragile, 1)
    with fragile.client() as http:
        while http.get(f"/v1/jobs/{accepted}").json()["status"] == "queued":
            time.sleep(0.01)
    began = time.monotonic()
    assert fragile.stop() == 0
    assert time.monotonic() - began < 8
    fragile.start()
    wait_until(fragile, ended=1)
    check_invariants(fragile, [accepted])
    with fragile.client() as http:
        assert http.get(f"/v1/jobs/{accepted}").json()["attempts"] == 1
