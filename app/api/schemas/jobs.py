"""Jobs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.problems import JobProblem, job_problem
from app.api.schemas.common import Answer
from app.domain import jobs as domain

KindName = Literal["fit", "selection", "scoring"]
StatusName = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Progress(Answer):
    """How far a running job is. A mixture shows its `lower_bound`, k-means its `inertia`."""

    phase: str = Field(description="`preparing`, `fitting` or `evaluating`.")
    fraction: float = Field(ge=0, le=1)
    init: int | None = Field(description="The restart, from 1.")
    n_init: int | None
    iteration: int | None
    max_iter: int | None
    lower_bound: float | None = None
    inertia: float | None = None


class FitResult(Answer):
    """What a fit made."""

    model: str
    version: int
    metrics: dict[str, Any]


class Job(Answer):
    """A piece of long work."""

    id: str
    kind: KindName
    status: StatusName
    model: str
    progress: Progress | None = Field(description="Null while queued.")
    result: FitResult | None
    error: JobProblem | None
    attempts: int = Field(description="How often it was begun.")
    request: dict[str, Any] = Field(description="As accepted; rows sent inside it have become a dataset.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: domain.Job) -> "Job":
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status.value,
            model=job.model,
            progress=None if job.progress is None else Progress.model_validate(job.progress),
            result=None if job.result is None else FitResult.model_validate(job.result),
            error=None if job.error is None else job_problem(job.error),
            attempts=job.attempts,
            request=job.request,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class JobPage(Answer):
    """One page of jobs, newest first."""

    items: list[Job]
    next: str | None
