"""Whether the service can do its work."""

from collections.abc import Callable

from app.domain.errors import NotReady
from app.storage import workers
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database

WORKER_SILENT_S = 15.0


class HealthService:
    """Looks at the database, the files and, where this process has one, the worker."""

    def __init__(self, database: Database, artifacts: ArtifactStore, expects_worker: bool) -> None:
        self._database = database
        self._artifacts = artifacts
        self._expects_worker = expects_worker

    def check(self) -> dict[str, str]:
        """What was looked at, each `ok`; raises `NotReady` that names what is not."""
        checks: dict[str, Callable[[], str]] = {
            "database": self._check_database,
            "artifacts": self._check_artifacts,
            "workers": self._check_workers,
        }
        found: dict[str, str] = {}
        for name, check in checks.items():
            try:
                found[name] = check()
            except NotReady as error:
                raise NotReady(f"{name}: {error.detail}") from error
        return found

    def _check_database(self) -> str:
        self._database.ping()
        return "ok"

    def _check_artifacts(self) -> str:
        self._artifacts.ping()
        return "ok"

    def _check_workers(self) -> str:
        with self._database.read() as tx:
            alive = workers.count_alive(tx, WORKER_SILENT_S)
        if self._expects_worker and not alive:
            raise NotReady("No worker has given a sign of life yet.")
        return "ok" if alive else "none here"
