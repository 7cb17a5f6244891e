"""create_app: wiring, nothing else."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.api import datasets, fits, health, imports, jobs, models, openapi, problem_pages, problems, serving
from app.api.admission import Admission
from app.api.context import RequestContext
from app.api.deps import Services
from app.observability.stopping import noticing_signals
from app.services.datasets import DatasetService
from app.services.health import HealthService
from app.services.imports import ImportService
from app.services.jobs import JobService
from app.services.loading import ModelLoader
from app.services.registry import RegistryService
from app.services.training import TrainingService
from app.settings import Settings
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database
from app.storage.opening import open_storage


def nobody() -> None:
    """Wakes nobody: workers of other processes look by themselves."""


def build_services(
    settings: Settings, database: Database, artifacts: ArtifactStore, wake: Callable[[], None], expects_worker: bool
) -> Services:
    """All services over one database and one store."""
    stored = DatasetService(database, artifacts)
    registry = RegistryService(database, artifacts)
    return Services(
        datasets=stored,
        training=TrainingService(database, artifacts, stored, settings.max_queued_jobs, wake),
        jobs=JobService(database),
        registry=registry,
        imports=ImportService(database, artifacts),
        models=ModelLoader(registry),
        health=HealthService(database, artifacts, expects_worker),
    )


def create_app(
    settings: Settings | None = None, wake: Callable[[], None] = nobody, *, expects_worker: bool = False
) -> FastAPI:
    """The application. `wake` is called when a job was queued; `expects_worker` makes readiness wait for one."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database, artifacts = open_storage(settings.resolved_database_url, settings.resolved_artifacts_url)
        app.state.services = build_services(settings, database, artifacts, wake, expects_worker)
        with noticing_signals(app.state.stopping):
            yield
        database.close()

    app: FastAPI = FastAPIOffline(
        title="Mixtura",
        version=version("mixtura"),
        lifespan=lifespan,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.stopping = threading.Event()
    for router in (datasets, fits, jobs, models, imports, serving, health, problem_pages):
        app.include_router(router.router)
    key = settings.admin_key.get_secret_value() if settings.admin_key else None
    app.add_middleware(Admission, admin_key=key)
    app.add_middleware(RequestContext)
    problems.install(app)
    openapi.install(app, keyed=key is not None)
    return app
