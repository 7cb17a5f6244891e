"""What is done from time to time: old jobs and datasets go, and files that no row names."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from app.storage import files, retention
from app.storage.artifacts import ArtifactStore
from app.storage.database import Database

DAY_S = 86_400.0
UNREGISTERED_S = 3600.0  # longer than anyone takes from writing a file to registering it
BATCH = 200


@dataclass(frozen=True)
class Removed:
    """How much of each went."""

    jobs: int
    datasets: int
    files: int


class UpkeepService:
    """Retention and the janitor. Any number of processes may run it at the same time."""

    def __init__(self, database: Database, artifacts: ArtifactStore, retention_days: float, lease_s: float) -> None:
        self._database = database
        self._artifacts = artifacts
        self._kept_s = retention_days * DAY_S
        self._unregistered_s = max(UNREGISTERED_S, 2 * lease_s)

    def run(self) -> Removed:
        """Everything that is due, in short transactions; raises `NotReady`."""
        jobs = self._until_done(lambda tx: retention.remove_ended_jobs(tx, self._kept_s, BATCH))
        datasets = self._until_done(lambda tx: retention.remove_unreferenced_datasets(tx, self._kept_s, BATCH))
        return Removed(jobs, datasets, self.sweep(self._unregistered_s))

    def sweep(self, unregistered_s: float) -> int:
        """Removes the files that no row names and, after that many seconds, none will; how many keys were settled."""
        swept = 0
        while True:
            with self._database.write() as tx:
                keys = files.doom(tx, unregistered_s, BATCH)
            for key in keys:  # only now that no transaction can name them any more
                self._artifacts.delete(key)
            with self._database.write() as tx:
                files.forget(tx, keys)
            swept += len(keys)
            if len(keys) < BATCH:
                return swept

    def _until_done(self, remove: Callable[[Connection], int]) -> int:
        total = 0
        while True:
            with self._database.write() as tx:
                removed = remove(tx)
            total += removed
            if removed < BATCH:
                return total
