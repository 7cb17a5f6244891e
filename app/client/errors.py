"""What can go wrong between a program and the service, as a tree of exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from app.client.jobs import Job

__all__ = [
    "Conflict",
    "ConnectionFailed",
    "InvalidRequest",
    "JobCancelled",
    "JobFailed",
    "MixturaError",
    "NotFound",
    "Problem",
    "ProblemError",
    "Unauthorized",
    "Unavailable",
    "WaitTimeout",
]


@dataclass(frozen=True)
class Problem:
    """A problem document of the service (RFC 9457).

    `type` is stable (`/problems/model-not-found`), `detail` is a sentence for people, and `errors` holds a
    `pointer` into the request and a `detail` for each value that was refused.
    """

    status: int
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    errors: tuple[Mapping[str, str], ...] = ()
    request_id: str | None = None

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        return cls(
            status=int(payload.get("status") or 0),
            type=str(payload.get("type") or "about:blank"),
            title=str(payload.get("title") or ""),
            detail=str(payload.get("detail") or ""),
            errors=tuple(payload.get("errors") or ()),
            request_id=payload.get("request_id"),
        )

    def __str__(self) -> str:
        """The detail, and a line for each error: its pointer, and what the detail has not said already."""
        said = self.detail or self.title or f"status {self.status}"
        lines = [said]
        for error in self.errors:
            pointer, detail = error.get("pointer", ""), error.get("detail", "")
            if detail not in said:
                lines.append(f"  {pointer}: {detail}")
            elif pointer not in said:
                lines.append(f"  {pointer}")
        return "\n".join(lines)


class MixturaError(Exception):
    """The root of everything that this client raises on purpose."""


class ConnectionFailed(MixturaError):
    """No answer came, the retries included."""


class WaitTimeout(MixturaError, TimeoutError):
    """The job had not ended when the time given to `wait` was over; it goes on."""


class ProblemError(MixturaError):
    """The service answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.status = problem.status
        self.type = problem.type
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.request_id = problem.request_id


class InvalidRequest(ProblemError):
    """The request cannot be served as it is: 400, 405, 406, 413, 415, 422."""


class Unauthorized(ProblemError):
    """The API key is absent, unknown, or does not allow this: 401, 403."""


class NotFound(ProblemError):
    """No such dataset, job, model, version or alias: 404."""


class Conflict(ProblemError):
    """It is in use, has ended, or has changed since it was read: 409, 412."""


class Unavailable(ProblemError):
    """Not now: 429, 502, 503, 504. Where the service said when to come back, the client has done so."""


class JobFailed(MixturaError):
    """The job ended without a result; `problem` says why."""

    def __init__(self, job: Job, problem: Problem) -> None:
        super().__init__(f"job {job.id} {job.status}: {problem}")
        self.job = job
        self.problem = problem


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    **dict.fromkeys((400, 405, 406, 413, 415, 422), InvalidRequest),
    **dict.fromkeys((401, 403), Unauthorized),
    404: NotFound,
    **dict.fromkeys((409, 412), Conflict),
    **dict.fromkeys((429, 502, 503, 504), Unavailable),
}


def problem_error(response: httpx.Response) -> ProblemError:
    """The exception for an answer that is not a success; a proxy's page becomes a problem about:blank."""
    try:
        payload = response.json()
    except ValueError:
        payload = None
    if isinstance(payload, dict):
        payload = {"status": response.status_code, **payload}
    else:
        phrase = HTTPStatus(response.status_code).phrase if response.status_code in set(HTTPStatus) else ""
        text = response.text.strip()[:200]
        payload = {"status": response.status_code, "title": phrase, "detail": text or phrase}
    payload.setdefault("request_id", response.headers.get("X-Request-Id"))
    return _BY_STATUS.get(response.status_code, ProblemError)(Problem.of(payload))
