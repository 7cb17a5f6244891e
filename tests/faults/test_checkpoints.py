"""A fit whose process is killed in the middle goes on where it stood, and ends with the bits of one that was let be."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import psutil
import pytest
from sqlalchemy import select

from app.services import checkpoint
from app.storage.database import Database
from app.storage.tables import checkpoints, job_events, jobs, versions
from core.state import State
from tests.postgres import postgres_database
from tests.service import Service

# They take a second or two each: in one long run, or in many short ones.
LONG = {"n_components": 8, "tol": 0, "patience": 10**6, "random_state": 3}
FITS = {
    "one run": ("gaussian_mixture", LONG | {"max_iter": 6000}),
    "restarts": ("gaussian_mixture", LONG | {"max_iter": 300, "n_init": 16, "covariance_type": "diag"}),
    "k-means": ("kmeans", {"n_clusters": 40, "n_init": 60, "tol": 0, "random_state": 3}),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            environment["MIXTURA_DATABASE_URL"] = stack.enter_context(postgres_database())
        service = Service(tmp_path_factory.mktemp("kept") / "data", **environment).start()
        stack.callback(service.stop)
        X = np.random.default_rng(8).normal(size=(4000, 4)) @ np.diag([1.0, 2.0, 3.0, 4.0])
        with service.client() as http:
            body = "a,b,c,d\n" + "\n".join(",".join(map(repr, row)) for row in X.tolist())
            http.post("/v1/datasets?name=rows", content=body, headers={"Content-Type": "text/csv"}).raise_for_status()
        yield service


@pytest.fixture
def database(service: Service) -> Iterator[Database]:
    database = service.database()
    yield database
    database.close()


def submit(service: Service, name: str) -> str:
    algorithm, params = FITS[name]
    document = {"model": name.replace(" ", "-"), "algorithm": algorithm, "params": params, "data": {"dataset": "rows"}}
    with service.client() as http:
        answer = http.post("/v1/fits", json=document)
    assert answer.status_code == 202, answer.text
    job: str = answer.json()["id"]
    return job


def eventually(look: Callable[[], Any], timeout: float = 30) -> Any:
    until = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def stands(database: Database, job: str) -> State | None:
    with database.read() as tx:
        content = tx.execute(select(checkpoints.c.content).where(checkpoints.c.job_id == job)).scalar_one_or_none()
    return None if content is None else checkpoint.from_bytes(content)


def ended(database: Database, job: str) -> Any:
    with database.read() as tx:
        return tx.execute(select(jobs).where(jobs.c.id == job, jobs.c.finished_at.is_not(None))).one_or_none()


def artifact(service: Service, database: Database, job: str) -> bytes:
    """The file of the version that the job made."""
    assert eventually(lambda: ended(database, job)).status == "succeeded"
    with database.read() as tx:
        key = tx.execute(select(versions.c.artifact_key).where(versions.c.job_id == job)).scalar_one()
    return (service.data_dir / "artifacts" / key).read_bytes()


def iterations(database: Database, job: str) -> list[list[tuple[int, int]]]:
    """(run, iteration) of each report, in a list for each time that the job was begun."""
    with database.read() as tx:
        query = select(job_events.c.data).where(job_events.c.job_id == job, job_events.c.name == "progress")
        told = list(tx.execute(query.order_by(job_events.c.seq)).scalars())
    begun: list[list[tuple[int, int]]] = []
    for data in told:
        if data["phase"] == "preparing":
            begun.append([])
        elif data["iteration"] is not None:
            begun[-1].append((data["init"], data["iteration"]))
    return begun


def fit_process(service: Service) -> psutil.Process:
    (worker,) = service.workers()
    (process,) = (child for child in worker.children() if "spawn_main" in " ".join(child.cmdline()))
    return process


@pytest.mark.parametrize("name", list(FITS))
def test_a_killed_fit_ends_with_the_bits_of_one_that_was_let_be(
    service: Service, database: Database, name: str
) -> None:
    let_be = submit(service, name)
    expected = artifact(service, database, let_be)
    killed = submit(service, name)
    eventually(lambda: stands(database, killed))
    fit_process(service).kill()
    state = stands(database, killed)
    assert state is not None
    assert artifact(service, database, killed) == expected
    first, second = iterations(database, killed)
    assert first[0] == (1, 1)
    assert second[0] > (state.init, len(state.trajectories[-1]))
    assert ended(database, killed).attempts == 2
    assert stands(database, killed) is None
