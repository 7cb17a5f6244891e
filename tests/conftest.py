"""What all tests share: a fresh database of either kind, a store of files, a running service."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.migrate import upgrade
from tests.postgres import postgres_database
from tests.service import Service, running


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with postgres_database() as url:
        yield url


@pytest.fixture
def another_postgres_url() -> Iterator[str]:
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real service over either database, one for all tests that only talk to it."""
    data_dir = tmp_path_factory.mktemp("service") / request.param
    with ExitStack() as stack:
        environment = {"MIXTURA_MAX_BODY_BYTES": "2000000"}
        if request.param == "postgresql":
            environment["MIXTURA_DATABASE_URL"] = stack.enter_context(postgres_database())
        yield stack.enter_context(running(data_dir, **environment))


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def model_name() -> str:
    """A name that no other test uses."""
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Either database, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'mixtura.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Either database, with the schema."""
    database = Database(database_url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")
