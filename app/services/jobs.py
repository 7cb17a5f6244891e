"""Looking at jobs, waiting for them, and stopping them."""

from collections.abc import Sequence

from app.domain.errors import Conflict, JobNotFound
from app.domain.jobs import Event, Job, JobEvent, Status
from app.domain.paging import Page, PageRequest
from app.storage import jobs as table
from app.storage.database import Database


class JobService:
    """Jobs as their callers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str) -> Job:
        """The job; raises `JobNotFound`."""
        with self._database.read() as tx:
            job = table.get(tx, job_id)
        if job is None:
            raise JobNotFound(f"There is no job {job_id!r}.")
        return job

    def page(
        self, request: PageRequest, statuses: Sequence[str], kinds: Sequence[str], models: Sequence[str]
    ) -> Page[Job]:
        """Jobs, newest first."""
        with self._database.read() as tx:
            return table.page(tx, request, statuses, kinds, models)

    def cancel(self, job_id: str) -> Job:
        """Ends the job as cancelled, at once: its worker finds its claim gone and stops the process.

        Idempotent. Raises `JobNotFound`, and `Conflict` when the job ended otherwise.
        """
        with self._database.write() as tx:
            job = table.lock(tx, job_id)
            if job is None:
                raise JobNotFound(f"There is no job {job_id!r}.")
            if job.status is Status.CANCELLED:
                return job
            if job.ended:
                raise Conflict(f"Job {job_id} has {job.status}; only a job that has not ended can be cancelled.")
            return table.settle(tx, job, Event.CANCEL)

    def events_after(self, job_id: str, seq: int) -> list[JobEvent]:
        """The lines of the job's story that follow `seq`."""
        with self._database.read() as tx:
            return table.events_after(tx, job_id, seq)
